//! [`Face`]: where output goes and how: text or JSON, terminal or pipe.
use std::io::{self, BufRead, IsTerminal, Write};

use serde_json::Value;

use crate::args::Colour;
use crate::exit::Failure;
use crate::text::safe_lines;

/// How output is shaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// For people.
    Text,
    /// One JSON document per result.
    Json,
}

/// Whether something that comes out is read by a person right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A terminal: progress may be redrawn.
    Terminal,
    /// A pipe or file.
    Pipe,
}

/// Who answers questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answerer {
    /// A person at a terminal.
    Person,
    /// A pipe or file.
    Script,
}

/// The three streams of a command.
pub struct Face {
    /// Results.
    pub out: Box<dyn Write + Send>,
    /// Progress and errors.
    pub err: Box<dyn Write + Send>,
    /// Answers to questions.
    pub input: Box<dyn BufRead + Send>,
    /// Who reads `out`.
    pub reader: Reader,
    /// Who types into `input`.
    pub answerer: Answerer,
    /// Shape of results.
    pub shape: Shape,
    /// Notices are left out.
    pub quiet: bool,
}

impl Face {
    /// Returns the streams of this process.
    pub fn of_process(shape: Shape, quiet: bool, colour: Colour) -> Self {
        let choice = match colour {
            Colour::Auto => anstream::ColorChoice::Auto,
            Colour::Always => anstream::ColorChoice::Always,
            Colour::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        let reader = if io::stdout().is_terminal() {
            Reader::Terminal
        } else {
            Reader::Pipe
        };
        let answerer = if io::stdin().is_terminal() {
            Answerer::Person
        } else {
            Answerer::Script
        };
        Self {
            out: Box::new(anstream::stdout()),
            err: Box::new(anstream::stderr()),
            input: Box::new(io::BufReader::new(io::stdin())),
            reader,
            answerer,
            shape,
            quiet,
        }
    }

    /// Prints a result: `json` as it is, or what `text` makes for people.
    pub(crate) fn result(
        &mut self,
        json: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let shown = match self.shape {
            Shape::Json => format!("{}\n", json()),
            Shape::Text => text(),
        };
        self.print(&shown)
    }

    /// Prints text as it is.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Failure> {
        let written = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::Broken(format!("The output cannot be written: {error}.")),
        })
    }

    /// Prints a sentence for people that is no result; left out with `--quiet` and `--json`.
    pub(crate) fn notice(&mut self, text: &str) -> Result<(), Failure> {
        if self.quiet || self.shape == Shape::Json {
            return Ok(());
        }
        self.talk(&format!("{text}\n"))
    }

    /// Says something to the person in front: on the error stream, so that results stay clean.
    pub(crate) fn talk(&mut self, text: &str) -> Result<(), Failure> {
        let said = self
            .err
            .write_all(text.as_bytes())
            .and_then(|()| self.err.flush());
        said.map_err(|e| Failure::Broken(format!("Nothing can be said: {e}.")))
    }

    /// Asks a question that is answered with yes or no; anything but `y` or `yes` is no.
    pub(crate) fn ask(&mut self, question: &str) -> Result<Answer, Failure> {
        self.talk(&format!("{question} [y/N] "))?;
        let mut answer = String::new();
        if self.input.read_line(&mut answer).is_err() {
            return Ok(Answer::No);
        }
        Ok(match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Answer::Yes,
            _ => Answer::No,
        })
    }

    /// Returns whether a person sees a question and can answer it.
    pub(crate) fn can_ask(&self) -> bool {
        self.reader == Reader::Terminal
            && self.answerer == Answerer::Person
            && self.shape == Shape::Text
    }

    /// Lets nothing be destroyed without a yes: given with `--yes`, or by the person who is shown
    /// what goes and asked. Where nobody can be asked the answer is no.
    pub(crate) fn confirm(
        &mut self,
        yes: bool,
        shown: &str,
        question: &str,
        declined: &str,
    ) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !self.can_ask() {
            return Err(Failure::Usage(format!(
                "{question} Nobody can be asked here: add `--yes` if it is wanted."
            )));
        }
        self.talk(shown)?;
        match self.ask(question)? {
            Answer::Yes => Ok(()),
            Answer::No => Err(Failure::Job(declined.to_owned())),
        }
    }

    /// Prints what the program itself has to say, for example that it serves. Nobody listening is
    /// no failure.
    pub fn say(&mut self, text: &str) {
        // Nothing depends on a reader.
        let _ = self.print(text);
    }

    /// Reports a failure on the error stream, in the shape of the results.
    pub fn failed(&mut self, failure: &Failure) {
        if *failure == Failure::ReaderGone {
            return;
        }
        let (message, hint) = failure.words();
        let text = match self.shape {
            Shape::Json => {
                let body = serde_json::json!({
                    "error": { "code": failure.word(), "message": message, "hint": hint },
                });
                format!("{body}\n")
            }
            // Names that others gave themselves stand in these sentences.
            Shape::Text if hint.is_empty() => format!("kiln: {}\n", safe_lines(&message)),
            Shape::Text => format!(
                "kiln: {}\n      {}\n",
                safe_lines(&message),
                safe_lines(hint)
            ),
        };
        // There is nowhere left to tell that this failed.
        let _ = self.err.write_all(text.as_bytes());
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}
