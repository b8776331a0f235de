//! [`Probe`]: the program `probe` under a test's control.
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running probe. Dropping it kills it with SIGKILL.
#[derive(Debug)]
pub struct Probe {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Probe {
    /// Starts a program that answers lines; `command` says which, with what and where.
    ///
    /// # Panics
    /// If it does not start.
    #[expect(clippy::expect_used, reason = "a test cannot go on")]
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the probe starts");
        let orders = child.stdin.take().expect("stdin is piped");
        let answers = child.stdout.take().expect("stdout is piped");
        Self {
            child,
            orders,
            answers: BufReader::new(answers).lines(),
        }
    }

    /// Gives an order and returns the answer.
    ///
    /// # Panics
    /// If the probe is gone.
    #[expect(clippy::expect_used, reason = "a test cannot go on")]
    pub fn ask(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").expect("the probe takes orders");
        self.line().expect("the probe answers")
    }

    /// Waits for the next line; `None` when it ended.
    pub fn line(&mut self) -> Option<String> {
        self.answers.next()?.ok()
    }

    /// Kills it with SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.kill();
    }
}
