//! The processes of a WebView2 on Windows, of which the shell's toolkit tells nothing.
use webview2_com::Microsoft::Web::WebView2::Win32::{
    COREWEBVIEW2_PROCESS_FAILED_KIND, COREWEBVIEW2_PROCESS_FAILED_KIND_BROWSER_PROCESS_EXITED,
    COREWEBVIEW2_PROCESS_FAILED_KIND_RENDER_PROCESS_EXITED, ICoreWebView2Controller,
};
use webview2_com::ProcessFailedEventHandler;

/// Calls `ended` with the reason when a process ends without which the page stays blank. The others
/// (of the graphics, of sounds) are started again by WebView2 itself.
///
/// # Errors
/// What WebView2 says if it does not tell.
#[expect(
    unsafe_code,
    reason = "WebView2 is reached through its interfaces of COM"
)]
pub fn when_it_ends(
    controller: &ICoreWebView2Controller,
    mut ended: impl FnMut(&str) + 'static,
) -> std::io::Result<()> {
    let handler = ProcessFailedEventHandler::create(Box::new(move |_, failed| {
        let mut kind = COREWEBVIEW2_PROCESS_FAILED_KIND::default();
        if let Some(failed) = failed {
            // SAFETY: WebView2 calls with arguments that live as long as the call, and writes a number
            // into a place of ours.
            unsafe { failed.ProcessFailedKind(&raw mut kind) }?;
        }
        match kind {
            COREWEBVIEW2_PROCESS_FAILED_KIND_BROWSER_PROCESS_EXITED => ended("the browser ended"),
            COREWEBVIEW2_PROCESS_FAILED_KIND_RENDER_PROCESS_EXITED => ended("the renderer ended"),
            _ => {}
        }
        Ok(())
    }));
    let mut token = 0;
    // SAFETY: The controller is alive, and WebView2 counts the references to the handler itself.
    unsafe {
        controller
            .CoreWebView2()?
            .add_ProcessFailed(&handler, &raw mut token)?;
    }
    Ok(())
}
