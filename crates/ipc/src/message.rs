//! [`ClientMessage`] and [`ServerMessage`]: the lines of the control channel.
use kiln_model::{
    Device, EnvironmentInfo, ErrorCode, Job, JobId, Reply, Request, RequestError, View,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::form::{self, Put, Take};
use crate::lines::{MAX_ANSWER, MAX_REQUEST, TooLong};

/// Version of the contract, in the `kiln` member of both hellos.
pub const PROTOCOL: u32 = 1;

/// A line from a face to the node.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// First line.
    Hello {
        /// Version of the contract that the client speaks.
        protocol: u32,
        /// Who it is, for the log: `kiln 0.1.0`.
        program: String,
    },
    /// Answered by exactly one [`ServerMessage::Reply`] with the same id.
    Request {
        /// Chosen by the client; unique among what is unanswered.
        id: u64,
        /// What is wanted.
        request: Request,
    },
    /// Answered by [`ServerMessage::Event`]s with the same id until [`Event::End`] or
    /// [`ClientMessage::Unfollow`].
    Follow {
        /// Chosen by the client.
        id: u64,
        /// What to follow.
        follow: Follow,
    },
    /// Ends a follow; not answered.
    Unfollow {
        /// Of the follow.
        id: u64,
    },
}

/// What a client may follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "follow", rename_all = "snake_case")]
pub enum Follow {
    /// The read model: now, and after every change.
    View,
    /// Jobs: all that exist, then each that changes.
    Jobs,
    /// The owner's devices: as they are on disk now, then all of them after every change.
    Devices,
    /// The installed ESPHome versions: now, then all of them after every change.
    Environments,
    /// The log of a job from a byte offset on; ends when the job is final and all was sent.
    Log {
        /// Which job.
        #[serde(with = "form")]
        job: JobId,
        /// First byte wanted.
        #[serde(default)]
        offset: u64,
    },
    /// The log of a job as it is now; ends at once.
    LogNow {
        /// Which job.
        #[serde(with = "form")]
        job: JobId,
        /// First byte wanted.
        #[serde(default)]
        offset: u64,
    },
}

/// A line from the node to a face.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    /// Answer to the hello.
    Hello {
        /// Version of the contract that the node speaks.
        protocol: u32,
        /// Version of the node.
        version: String,
    },
    /// Answer to a request.
    Reply {
        /// Of the request.
        id: u64,
        /// The answer.
        reply: Reply,
    },
    /// Something happened to what is followed.
    Event {
        /// Of the follow.
        id: u64,
        /// What.
        event: Event,
    },
    /// The line was not understood; the connection goes on unless it was the hello.
    Broken {
        /// Of the line, if it had one.
        id: Option<u64>,
        /// What is wrong with it.
        error: RequestError,
    },
}

/// A change of what is followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The read model as it is now.
    View {
        /// All of it.
        #[serde(with = "form")]
        view: Box<View>,
    },
    /// A job as it is now.
    Job {
        /// All of it.
        #[serde(with = "form")]
        job: Box<Job>,
    },
    /// The owner's devices as they are now.
    Devices {
        /// All of them.
        #[serde(with = "form")]
        devices: Vec<Device>,
    },
    /// The installed ESPHome versions as they are now.
    Environments {
        /// All of them.
        #[serde(with = "form")]
        environments: Vec<EnvironmentInfo>,
    },
    /// More of a log.
    Log {
        /// Offset of the first byte of `text` in the log.
        offset: u64,
        /// Text with its line ends; invalid UTF-8 was replaced.
        text: String,
        /// Offset to go on from.
        next: u64,
    },
    /// Nothing more will come.
    End,
}

/// Why a line is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct DecodeError {
    /// Id of the line, if it had one.
    pub id: Option<u64>,
    /// One sentence.
    pub problem: String,
}

impl DecodeError {
    /// Returns what the node answers.
    pub fn answer(&self) -> ServerMessage {
        ServerMessage::Broken {
            id: self.id,
            error: RequestError {
                code: ErrorCode::InvalidArgs,
                message: self.problem.clone().into(),
                hint: "Use a kiln of the same version as the node that runs.".into(),
            },
        }
    }
}

/// Writes a client's line with its newline.
pub fn encode_client(message: &ClientMessage) -> Result<String, TooLong> {
    let line = match message {
        ClientMessage::Hello { protocol, program } => write(&HelloJson {
            kiln: *protocol,
            program: Some(program.clone()),
            version: None,
        }),
        ClientMessage::Request { id, request } => write(&WithId {
            id: *id,
            body: Put(request),
        }),
        ClientMessage::Follow { id, follow } => write(&WithId {
            id: *id,
            body: follow,
        }),
        ClientMessage::Unfollow { id } => write(&UnfollowJson { unfollow: *id }),
    };
    bounded(line, MAX_REQUEST)
}

/// Writes a node's line with its newline.
pub fn encode_server(message: &ServerMessage) -> Result<String, TooLong> {
    let line = match message {
        ServerMessage::Hello { protocol, version } => write(&HelloJson {
            kiln: *protocol,
            program: None,
            version: Some(version.clone()),
        }),
        ServerMessage::Reply { id, reply } => write(&WithId {
            id: *id,
            body: Put(reply),
        }),
        ServerMessage::Event { id, event } => write(&WithId {
            id: *id,
            body: event,
        }),
        ServerMessage::Broken { id, error } => write(&BrokenJson {
            id: *id,
            broken: Put(error),
        }),
    };
    bounded(line, MAX_ANSWER)
}

/// Reads a client's line.
pub fn decode_client(line: &[u8]) -> Result<ClientMessage, DecodeError> {
    let object = object(line)?;
    if object.contains_key("kiln") {
        let hello: HelloJson = read(None, object)?;
        return Ok(ClientMessage::Hello {
            protocol: hello.kiln,
            program: hello.program.unwrap_or_default(),
        });
    }
    if let Some(id) = object.get("unfollow").and_then(Value::as_u64) {
        return Ok(ClientMessage::Unfollow { id });
    }
    let id = id_of(&object)?;
    if object.contains_key("follow") {
        let follow = read(Some(id), object)?;
        return Ok(ClientMessage::Follow { id, follow });
    }
    let request: Take<Request> = read(Some(id), object)?;
    Ok(ClientMessage::Request {
        id,
        request: request.0,
    })
}

/// Reads a node's line.
pub fn decode_server(line: &[u8]) -> Result<ServerMessage, DecodeError> {
    let object = object(line)?;
    if object.contains_key("kiln") {
        let hello: HelloJson = read(None, object)?;
        return Ok(ServerMessage::Hello {
            protocol: hello.kiln,
            version: hello.version.unwrap_or_default(),
        });
    }
    if object.contains_key("broken") {
        let broken: BrokenJson<Take<RequestError>> = read(None, object)?;
        return Ok(ServerMessage::Broken {
            id: broken.id,
            error: broken.broken.0,
        });
    }
    let id = id_of(&object)?;
    if object.contains_key("event") {
        let event = read(Some(id), object)?;
        return Ok(ServerMessage::Event { id, event });
    }
    let reply: Take<Reply> = read(Some(id), object)?;
    Ok(ServerMessage::Reply { id, reply: reply.0 })
}

#[derive(Serialize, Deserialize)]
struct HelloJson {
    kiln: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

#[derive(Serialize)]
struct WithId<T> {
    id: u64,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
struct UnfollowJson {
    unfollow: u64,
}

#[derive(Serialize, Deserialize)]
struct BrokenJson<E> {
    id: Option<u64>,
    broken: E,
}

fn object(line: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    serde_json::from_slice(line).map_err(|error| DecodeError {
        id: None,
        problem: format!("The line is not a JSON object: {error}."),
    })
}

fn id_of(object: &Map<String, Value>) -> Result<u64, DecodeError> {
    object
        .get("id")
        .and_then(Value::as_u64)
        .ok_or_else(|| DecodeError {
            id: None,
            problem: "The line has no id (a whole number).".to_owned(),
        })
}

fn read<T: for<'de> Deserialize<'de>>(
    id: Option<u64>,
    object: Map<String, Value>,
) -> Result<T, DecodeError> {
    T::deserialize(Value::Object(object)).map_err(|error| DecodeError {
        id,
        problem: format!("The line is not understood: {error}."),
    })
}

fn write<T: Serialize>(line: &T) -> String {
    // See `reply::value`: nothing here cannot be written.
    serde_json::to_string(line).unwrap_or_default()
}

fn bounded(mut line: String, limit: usize) -> Result<String, TooLong> {
    if line.len() > limit {
        return Err(TooLong(limit));
    }
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use kiln_model::{Device, Placement};

    fn up(message: &ClientMessage) -> ClientMessage {
        let line = encode_client(message).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        decode_client(line.trim_end().as_bytes()).unwrap()
    }

    fn down(message: &ServerMessage) -> ServerMessage {
        let line = encode_server(message).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        decode_server(line.trim_end().as_bytes()).unwrap()
    }

    #[test]
    fn every_client_line_is_read_as_it_was_meant() {
        let log = Follow::Log {
            job: samples::job_id(),
            offset: 7,
        };
        let now = Follow::LogNow {
            job: samples::job_id(),
            offset: 0,
        };
        let follows = [
            Follow::View,
            Follow::Jobs,
            Follow::Devices,
            Follow::Environments,
            log,
            now,
        ];
        let lines = samples::requests()
            .into_iter()
            .map(|request| ClientMessage::Request { id: 1, request })
            .chain(follows.map(|follow| ClientMessage::Follow { id: 2, follow }))
            .chain([
                ClientMessage::Unfollow { id: 3 },
                ClientMessage::Hello {
                    protocol: 1,
                    program: "kiln 0.1.0".to_owned(),
                },
            ]);
        for message in lines {
            assert_eq!(up(&message), message);
        }
    }

    #[test]
    fn every_server_line_is_read_as_it_was_meant() {
        let job_here = Job {
            placement: Placement::Local,
            ..samples::job()
        };
        let events = [
            Event::View {
                view: Box::new(samples::view()),
            },
            Event::Job {
                job: Box::new(samples::job()),
            },
            Event::Job {
                job: Box::new(job_here),
            },
            Event::Log {
                offset: 0,
                text: "INFO\u{1b}[0m\r\n".to_owned(),
                next: 9,
            },
            Event::Devices {
                devices: samples::devices(),
            },
            Event::Environments {
                environments: samples::environments(),
            },
            Event::End,
        ];
        let broken = DecodeError {
            id: Some(4),
            problem: "no".to_owned(),
        };
        let lines = samples::replies()
            .into_iter()
            .map(|reply| ServerMessage::Reply { id: 1, reply })
            .chain(events.map(|event| ServerMessage::Event { id: 2, event }))
            .chain([
                broken.answer(),
                ServerMessage::Hello {
                    protocol: 1,
                    version: "0.1.0".to_owned(),
                },
            ]);
        for message in lines {
            assert_eq!(down(&message), message);
        }
    }

    #[test]
    fn the_names_on_the_line_are_the_documented_ones() {
        let install = ClientMessage::Request {
            id: 1,
            request: samples::requests().remove(13),
        };
        let pin = samples::pin();
        assert_eq!(
            encode_client(&install).unwrap(),
            format!(
                "{{\"id\":1,\"request\":\"install\",\"device\":\"kitchen\",\"build\":\"{pin}\",\
                 \"port\":\"address:10.0.0.9\"}}\n"
            )
        );
        let ended = ServerMessage::Event {
            id: 2,
            event: Event::End,
        };
        assert_eq!(
            encode_server(&ended).unwrap(),
            "{\"id\":2,\"event\":\"end\"}\n"
        );
    }

    #[test]
    fn defaults_stand_in_for_members_that_are_absent_and_unknown_ones_are_ignored() {
        let line = br#"{"id":1,"request":"install","device":"kitchen","colour":"red"}"#;
        let ClientMessage::Request { request, .. } = decode_client(line).unwrap() else {
            panic!("a request");
        };
        let plain = Request::Install {
            device: "kitchen".to_owned(),
            build: kiln_model::BuildChoice::Auto,
            port: kiln_model::Port::Ota,
        };
        assert_eq!(request, plain);
    }

    #[test]
    fn a_line_that_is_not_understood_is_answered_under_its_id() {
        for (line, id) in [
            (&br#"{"id":9,"request":"fly"}"#[..], Some(9)),
            (br#"{"id":9,"request":"cancel","job":"../x"}"#, Some(9)),
            (br#"{"id":9}"#, Some(9)),
            (br#"{"request":"status"}"#, None),
            (br#"[1]"#, None),
            (b"\xff", None),
            (b"", None),
        ] {
            let error = decode_client(line).unwrap_err();
            assert_eq!(error.id, id, "{error}");
            let ServerMessage::Broken { error, .. } = error.answer() else {
                panic!("an answer");
            };
            assert!(!error.message.is_empty() && !error.hint.is_empty());
        }
    }

    #[test]
    fn a_line_above_the_cap_is_not_sent() {
        let request = Request::Clean {
            device: "x".repeat(MAX_REQUEST),
        };
        let message = ClientMessage::Request { id: 1, request };
        assert_eq!(encode_client(&message), Err(TooLong(MAX_REQUEST)));
    }

    #[test]
    fn ten_thousand_devices_fit_one_answer() {
        let Some(Reply::Devices(one)) = samples::replies().into_iter().nth(5) else {
            panic!("devices");
        };
        let many: Vec<Device> = one.iter().cycle().take(10_000).cloned().collect();
        let reply = Reply::Devices(many);
        assert!(encode_server(&ServerMessage::Reply { id: 1, reply }).is_ok());
    }

    /// Adds every member name in `value`; the values of a sentence have names of their own.
    fn names(value: &Value, into: &mut std::collections::BTreeSet<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                into.insert(name.clone());
                if name != "values" {
                    names(value, into);
                }
            }),
            Value::Array(items) => items.iter().for_each(|item| names(item, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn the_documents_name_every_member_request_and_reply() {
        const DOCS: &str = include_str!("../../../docs/CLI.md");
        let (mut members, mut words) = (std::collections::BTreeSet::new(), Vec::new());
        for request in samples::requests() {
            let value = serde_json::to_value(Put(&request)).unwrap();
            names(&value, &mut members);
            words.push(value["request"].as_str().unwrap().to_owned());
        }
        for reply in samples::replies() {
            let value = crate::reply_json(&reply);
            names(&value, &mut members);
            words.push(value["reply"].as_str().unwrap().to_owned());
        }
        assert!(members.len() > 80 && words.len() > 30);
        for name in members.iter().chain(&words) {
            assert!(
                DOCS.contains(&format!("`{name}`")),
                "{name} is not documented"
            );
        }
    }
}
