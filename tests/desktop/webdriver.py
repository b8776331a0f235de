"""The window as a person uses it: finds what is written on it, clicks, types and looks, through WebKitWebDriver.
Texts are read as they are seen; nothing of how the pages are made is known here but roles and words."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess

import desktop

# Remembers what the page complains about from now on.
_LISTEN = """
if (window.complaints) return;
window.complaints = [];
const keep = (text) => window.complaints.push(String(text));
addEventListener('error', (e) => keep(e.message ?? `not loaded: ${e.target?.src ?? e.target?.href}`), true);
addEventListener('unhandledrejection', (e) => keep(e.reason?.message ?? JSON.stringify(e.reason)));
document.addEventListener('securitypolicyviolation', (e) => keep(`${e.violatedDirective}: ${e.blockedURI}`));
for (const level of ['error', 'warn']) {
  const said = console[level].bind(console);
  console[level] = (...words) => { keep(words.join(' ')); said(...words); };
}
"""

# Everything a person can press or fill in that bears this name; what a dialogue covers is not among it.
_FIND = """
const [selector, name] = arguments;
const modal = [...document.querySelectorAll('dialog[open]')].pop();
const named = (e) => {
  const label = e.getAttribute('aria-label') ?? (e.labels?.length ? e.labels[0].querySelector('.label')?.textContent
    ?? e.labels[0].textContent : e.textContent);
  return label.replace(/\\s+/g, ' ').trim();
};
const all = [...(modal ?? document).querySelectorAll(selector)];
return all.find((e) => e.checkVisibility() && named(e) === name) ?? null;
"""

_CHOOSE = """
const [select, wanted] = arguments;
const found = [...select.options].find((o) => !o.disabled && o.text.trim().split(' – ')[0] === wanted);
if (!found) return false;
select.value = found.value;
select.dispatchEvent(new Event('change', { bubbles: true }));
return true;
"""
_CHECK = """
const done = arguments[0];
axe.run(document, { resultTypes: ['violations'] }).then(
  ({ violations }) => done(violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.target).join(' ')}`)),
  (error) => done([`the checker failed: ${error.message}`]));
"""
_STILL = """
const [element, done] = arguments;
const place = () => { const { x, y } = element.getBoundingClientRect(); return `${x} ${y}`; };
const look = (before) => requestAnimationFrame(() => (place() === before ? done(true) : look(place())));
requestAnimationFrame(() => look(place()));
"""
HOME = "\ue011"
_KEY = "element-6066-11e4-a52e-4f735466cecf"


class Window:
    """One window of `kiln-window`, driven."""

    def __init__(self, program, environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._driver = subprocess.Popen(
            ["WebKitWebDriver", f"--port={self.port}", "--host=127.0.0.1"],
            env={**environment, "TAURI_WEBVIEW_AUTOMATION": "true"})
        desktop.until("the driver listens", self._listens)
        browser = {"binary": str(program), "args": []}
        self._program = program.name
        begun = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": browser}}})
        self._session = f"/session/{begun['sessionId']}"
        self.until("the page is there", lambda: self.run("return document.querySelector('nav') !== null"))
        self.run(_LISTEN)

    def _listens(self):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True

    def _ask(self, method, path, body=None):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        link.request(method, path, None if body is None else json.dumps(body))
        answer = json.loads(link.getresponse().read())["value"]
        link.close()
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(f"{path}: {answer['error']}: {answer['message']}")
        return answer

    def run(self, script, *arguments):
        """Runs JavaScript in the page and returns what it returns."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, what, question, seconds=20.0):
        try:
            return desktop.until(what, question, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\nThe window shows:\n{self.text()}") from None

    def text(self):
        """All that is written on the window."""
        return self.run("return document.body.innerText")

    def dialogue(self):
        """What is written on the dialogue in front, or nothing."""
        return self.run("return [...document.querySelectorAll('dialog[open]')].pop()?.innerText ?? ''")

    def heading(self):
        return self.run("return document.querySelector('main h1')?.innerText ?? ''")

    def shows(self, text):
        """Waits until this text is seen."""
        self.until(f"the window shows {text!r}", lambda: text in self.text())

    def _found(self, selector, name):
        return self.until(f"there is {name!r}", lambda: self.run(_FIND, selector, name))[_KEY]

    def _element(self, selector, name):
        return {_KEY: self._found(selector, name)}

    def click(self, name):
        """Clicks the button or link of this name."""
        selector = "button:not(:disabled), a, summary, [role=menuitem], input[type=checkbox]"
        element = self._found(selector, name)
        # What has just come up may still move, and the click would miss it.
        self._ask("POST", f"{self._session}/execute/async", {"script": _STILL, "args": [{_KEY: element}]})
        self._ask("POST", f"{self._session}/element/{element}/click", {})

    def type(self, name, text):
        """Types into the field of this name, in place of what was there."""
        element = self._found("input, textarea", name)
        self._ask("POST", f"{self._session}/element/{element}/clear", {})
        self._ask("POST", f"{self._session}/element/{element}/value", {"text": text})

    def press(self, selector, key):
        """Presses a key on the first element of this kind."""
        element = self.run("return document.querySelector(arguments[0])", selector)[_KEY]
        self._ask("POST", f"{self._session}/element/{element}/value", {"text": key})

    def choose(self, name, option):
        """Chooses this line of the list of this name; what stands behind its dash may be anything."""
        self.until(f"there is {option!r} in {name!r}", lambda: self.run(_CHOOSE, self._element("select", name), option))

    def pressed(self, name):
        """Whether the button of this name is held down."""
        return self.run("return arguments[0].getAttribute('aria-pressed') === 'true'", self._element("button", name))

    def go(self, page):
        """Clicks the page in the side bar."""
        self.click(page)
        self.until(f"{page} is shown", lambda: self.run(
            "return document.querySelector('nav [aria-current]')?.textContent.includes(arguments[0])"
            " && document.querySelector('main h1') !== null", page))

    def key(self, title):
        """The emoji names and the digits of the key that is shown under this title."""
        found = self.until(f"the key {title!r} is shown", lambda: self.run("""
            const all = [...document.querySelectorAll('section')].filter((e) => e.checkVisibility());
            const one = all.filter((e) => e.querySelector('h3')?.innerText === arguments[0]).pop();
            return one && [[...one.querySelectorAll('ol li .small')].map((e) => e.innerText),
                           one.querySelector('.hex').innerText];""", title))
        return found[0], re.sub(r"\s", "", found[1])

    def sticks_out(self):
        """What reaches beyond the sides of the window."""
        return self.run("""
            const wide = document.documentElement.clientWidth;
            const out = [...document.querySelectorAll('main *')].filter((e) => e.checkVisibility()
              && !e.closest('.hidden, .lines') && e.getBoundingClientRect().right > wide + 1);
            return out.map((e) => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`);""")

    def screenshot(self, path):
        """Keeps the window as it is painted."""
        self._ask("POST", f"{self._session}/execute/async", {
            "script": "const done = arguments[0]; document.fonts.ready.then(() =>"
                      " requestAnimationFrame(() => requestAnimationFrame(() => done(1))));", "args": []})
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._ask("GET", f"{self._session}/screenshot")))

    def complaints(self):
        """What the page has complained about so far."""
        return self.run("return window.complaints")

    def barriers(self):
        """What the accessibility checker finds on the page; a rule and where it is broken."""
        self.run(pathlib.Path(os.environ["AXE"]).read_text())
        return self._ask("POST", f"{self._session}/execute/async", {"script": _CHECK, "args": []})

    def end(self):
        """Closes the window and its driver."""
        with contextlib.suppress(AssertionError, OSError):
            self._ask("DELETE", self._session)
        # Its driver ends it, and must not be gone before. A window that comes while this one is still
        # ending would take itself for the second one.
        desktop.until("the window is gone", lambda: subprocess.run(
            ["pgrep", "-x", self._program], stdout=subprocess.DEVNULL).returncode == 1)
        self._driver.terminate()
        self._driver.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
