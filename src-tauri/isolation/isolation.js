// Lets through what the pages of Kiln say, and nothing else that a script on them could try.
const COMMANDS = new Set([
  'request',
  'follow',
  'unfollow',
  'start',
  'desktop_settings',
  'set_desktop_setting',
  'first_run_done',
  'close_hint_seen',
  'try_again',
  'diagnostics',
  'open_folder',
  'save_log',
  'plugin:event|listen',
  'plugin:event|unlisten',
  'plugin:__TAURI_CHANNEL__|fetch',
]);

window.__TAURI_ISOLATION_HOOK__ = (message) => {
  if (!COMMANDS.has(message.cmd)) throw new Error(`the window has no command ${message.cmd}`);
  return message;
};
