//! Where mails go: a mail server over SMTP, or files in the data folder when there is none.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error as SmtpError, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use thiserror::Error;
use tokio::fs;
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use super::message::one_line;

/// Folder of the `.eml` files, below the data folder.
pub const MAIL_FOLDER: &str = "mail";

/// How long a connection attempt to one address of the mail server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the whole dialogue of one mail may take, connecting included. Servers scan a mail before they answer the
/// end of its data; giving up on one that would have taken it makes a repeat.
pub const SEND_DEADLINE: Duration = Duration::from_mins(2);

/// How long the mail server may take to let us in.
pub const CHECK_DEADLINE: Duration = Duration::from_secs(20);

/// Idle connections kept; as many as mails are sent at once.
const POOL_SIZE: u32 = 8;

/// Longest answer of a server that is kept, in characters.
const MAX_RESPONSE_CHARS: usize = 1_000;

/// The SMTP reply codes that speak of us, not of the mail: authentication is required, too weak, failed or wants
/// encryption (RFC 4954 section 6). A correction of the configuration mends them.
const SESSION_CODES: [u16; 4] = [530, 534, 535, 538];

/// Where mails go.
#[derive(Debug)]
pub enum Mailer {
    /// A mail server.
    Smtp(Smtp),
    /// `.eml` files in this folder.
    Files(PathBuf),
}

/// A mail server and the open connections to it.
#[derive(Debug)]
pub struct Smtp {
    builder: AsyncSmtpTransportBuilder,
    transport: Mutex<AsyncSmtpTransport<Tokio1Executor>>,
}

/// Why mails can't go anywhere.
#[derive(Debug, Error)]
pub enum MailerError {
    /// The URL is not one that lettre reads.
    #[error(
        "SMTP_URL can't be used ({0}); write it like smtps://user:password@mail.example.com or \
         smtp://mail.example.com:587?tls=required, with special characters in the password percent-encoded"
    )]
    Url(SmtpError),
    /// The server does not let us in.
    #[error(
        "the mail server of SMTP_URL can't be used ({0}); check host, port, encryption and password"
    )]
    Server(String),
    /// The folder can't be written.
    #[error(
        "mails can't be written to {folder} ({source}); make the folder writable, or set SMTP_URL"
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a mail was not taken. Each holds what the server, or the network, said.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// This mail is refused for good (5xx).
    #[error("refused: {0}")]
    Refused(String),
    /// This mail may be taken later (4xx, or a dialogue that broke while the server is up).
    #[error("deferred: {0}")]
    Deferred(String),
    /// No mail can go out at present: no network, no TLS, no entry, no space.
    #[error("unreachable: {0}")]
    Unreachable(String),
}

impl Mailer {
    /// Takes `SMTP_URL`, or the data folder if it is unset. Connects to nothing yet. Needs a Tokio runtime, in which
    /// lettre starts the task that closes idle connections.
    ///
    /// # Errors
    /// When the URL can't be read.
    pub fn from_config(smtp_url: Option<&str>, data_dir: &Path) -> Result<Self, MailerError> {
        let Some(url) = smtp_url else {
            return Ok(Self::Files(data_dir.join(MAIL_FOLDER)));
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(MailerError::Url)?
            .timeout(Some(CONNECT_TIMEOUT))
            .pool_config(PoolConfig::new().max_size(POOL_SIZE));
        let transport = Mutex::new(builder.clone().build());
        Ok(Self::Smtp(Smtp { builder, transport }))
    }

    /// Sends one mail and answers the server's words, or the file's name. The mail's ID names the file.
    ///
    /// # Errors
    /// When the mail was not taken; see [`SendError`].
    pub async fn send(&self, id: Uuid, message: &Message) -> Result<String, SendError> {
        match self {
            Self::Smtp(smtp) => smtp.send(message).await,
            Self::Files(folder) => write_file(folder, id, &message.formatted())
                .await
                .map_err(|error| SendError::Unreachable(error.to_string())),
        }
    }

    /// Whether mails can go out: connects, signs in and says NOOP, or writes to the folder.
    ///
    /// # Errors
    /// When they can't, with a sentence that says how to mend it.
    pub async fn check(&self) -> Result<(), MailerError> {
        match self {
            Self::Smtp(smtp) => smtp.check().await.map_err(MailerError::Server),
            Self::Files(folder) => check_folder(folder).await.map_err(folder_error(folder)),
        }
    }
}

impl Smtp {
    async fn send(&self, message: &Message) -> Result<String, SendError> {
        let transport = self.transport();
        let bytes = message.formatted();
        let sending = transport.send_raw(message.envelope(), &bytes);
        match self.bounded(SEND_DEADLINE, sending).await {
            Ok(response) => {
                let lines: Vec<&str> = response.message().collect();
                let words = format!("{} {}", response.code(), lines.join(" "));
                Ok(one_line(&words, MAX_RESPONSE_CHARS))
            }
            Err(fault) => Err(self.judge(&fault).await),
        }
    }

    /// Whose fault it is. lettre tells errors of the connection and of the mail apart only in part (a 554 may be the
    /// greeting or the answer to the data), so ask the server whether it lets us in at all: if not, no mail is to blame.
    async fn judge(&self, fault: &Fault) -> SendError {
        let words = fault.words();
        match self.check().await {
            Err(_) => SendError::Unreachable(words),
            Ok(()) if fault.is_about_session() => SendError::Unreachable(words),
            Ok(()) if fault.is_permanent() => SendError::Refused(words),
            Ok(()) => SendError::Deferred(words),
        }
    }

    async fn check(&self) -> Result<(), String> {
        let transport = self.transport();
        match self
            .bounded(CHECK_DEADLINE, transport.test_connection())
            .await
        {
            Ok(true) => Ok(()),
            Ok(false) => Err("the server closed the connection".to_owned()),
            Err(fault) => Err(fault.words()),
        }
    }

    /// Runs a dialogue within a deadline, since lettre bounds only the connecting. A dialogue that is dropped halfway
    /// goes back into lettre's pool, where the next mail would read the answers to this one: so the pool is replaced
    /// first.
    async fn bounded<T>(
        &self,
        deadline: Duration,
        dialogue: impl Future<Output = Result<T, SmtpError>>,
    ) -> Result<T, Fault> {
        let mut dialogue = pin!(dialogue);
        match tokio::time::timeout(deadline, dialogue.as_mut()).await {
            Ok(result) => result.map_err(Fault::Smtp),
            Err(_elapsed) => {
                self.replace_transport();
                Err(Fault::TooSlow(deadline))
            }
        }
    }

    fn transport(&self) -> AsyncSmtpTransport<Tokio1Executor> {
        self.transport
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn replace_transport(&self) {
        let fresh = self.builder.clone().build();
        *self
            .transport
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
    }
}

/// Why a dialogue did not come to its end.
enum Fault {
    Smtp(SmtpError),
    TooSlow(Duration),
}

impl Fault {
    /// As a person reads it: the server's code and words alone if it spoke.
    fn words(&self) -> String {
        let words = match self {
            Self::TooSlow(deadline) => {
                format!("the server took longer than {} s", deadline.as_secs())
            }
            Self::Smtp(error) => match (error.status(), error.source()) {
                (Some(code), Some(words)) => format!("{code} {words}"),
                _ => error.to_string(),
            },
        };
        one_line(&words, MAX_RESPONSE_CHARS)
    }

    fn is_about_session(&self) -> bool {
        let Self::Smtp(error) = self else {
            return false;
        };
        error
            .status()
            .is_some_and(|code| SESSION_CODES.contains(&u16::from(code)))
    }

    /// A 5xx, or a mail that this server can't be given, such as one to an address outside ASCII without SMTPUTF8.
    fn is_permanent(&self) -> bool {
        matches!(self, Self::Smtp(error) if error.is_permanent() || error.is_client())
    }
}

/// Writes a mail so that a crash leaves the whole file or none; a repeat writes the same file.
async fn write_file(folder: &Path, id: Uuid, bytes: &[u8]) -> io::Result<String> {
    let name = format!("{id}.eml");
    let scratch = folder.join(format!(".{id}.tmp"));
    fs::create_dir_all(folder).await?;
    // Reports are personal: for the owner's eyes only.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&scratch)
        .await?;
    file.write_all(bytes).await?;
    file.sync_all().await?;
    fs::rename(&scratch, folder.join(&name)).await?;
    fs::File::open(folder).await?.sync_all().await?;
    Ok(format!("written to mail/{name}"))
}

async fn check_folder(folder: &Path) -> io::Result<()> {
    let probe = folder.join(".check.tmp");
    fs::create_dir_all(folder).await?;
    fs::write(&probe, b"").await?;
    fs::remove_file(&probe).await
}

fn folder_error(folder: &Path) -> impl FnOnce(io::Error) -> MailerError {
    move |source| MailerError::Folder {
        folder: folder.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;
    use crate::outbox::message::{MailContent, build};

    /// A server that answers each line by a script, which is also told how many connections there were; no answer
    /// leaves the client waiting.
    async fn scripted(answer: fn(usize, &str) -> Option<&'static str>) -> Smtp {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            for connection in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut line = "CONNECT\n".to_owned();
                    loop {
                        if let Some(words) = answer(connection, line.trim_end()) {
                            let reply = format!("{words}\r\n");
                            stream.write_all(reply.as_bytes()).await.unwrap();
                        }
                        line.clear();
                        if stream.read_line(&mut line).await.unwrap() == 0 {
                            return;
                        }
                    }
                });
            }
        });
        let url = format!("smtp://127.0.0.1:{port}");
        match Mailer::from_config(Some(&url), Path::new("/nowhere")).unwrap() {
            Mailer::Smtp(smtp) => smtp,
            Mailer::Files(_) => unreachable!("a URL was given"),
        }
    }

    fn usual(line: &str) -> Option<&'static str> {
        match line {
            "CONNECT" => Some("220 hello"),
            "DATA" => Some("354 go on"),
            "." => Some("250 taken"),
            _ if line.starts_with("EHLO") => Some("250 SMTPUTF8"),
            _ if ["MAIL", "RCPT", "NOOP", "QUIT"].contains(&line.get(..4)?) => Some("250 fine"),
            _ => None,
        }
    }

    fn message() -> Message {
        let content = MailContent {
            subject: "Hello".to_owned(),
            text: "Hello".to_owned(),
            html: "<p>Hello</p>".to_owned(),
        };
        let from = "tracedesk@localhost".parse().unwrap();
        let at = chrono::DateTime::UNIX_EPOCH;
        build(&content, &from, "support@localhost", "<1@localhost>", at).unwrap()
    }

    #[tokio::test]
    async fn a_dialogue_over_its_deadline_is_not_taken_up_again() {
        let smtp = scripted(|connection, line| match (connection, line) {
            (1, ".") => None,
            _ => usual(line),
        })
        .await;
        let (transport, message) = (smtp.transport(), message());
        let bytes = message.formatted();
        let sending = transport.send_raw(message.envelope(), &bytes);
        let result = smtp.bounded(Duration::from_millis(300), sending).await;
        assert!(matches!(result, Err(Fault::TooSlow(_))));
        // lettre takes the connection back in a task of its own.
        tokio::task::yield_now().await;

        assert_eq!(smtp.send(&message).await, Ok("250 taken".to_owned()));
    }

    #[tokio::test]
    async fn a_server_that_wants_a_password_refuses_no_mail() {
        let smtp = scripted(|_, line| match line.get(..4) {
            Some("MAIL") => Some("530 5.7.0 Authentication required"),
            _ => usual(line),
        })
        .await;
        let words = "530 5.7.0 Authentication required".to_owned();
        assert_eq!(
            smtp.send(&message()).await,
            Err(SendError::Unreachable(words))
        );
    }

    #[tokio::test]
    async fn a_greeting_that_turns_us_away_refuses_no_mail() {
        let smtp = scripted(|_, _| Some("554 no service for you")).await;
        let result = smtp.send(&message()).await;
        assert!(matches!(result, Err(SendError::Unreachable(words)) if words.starts_with("554")));
    }

    #[tokio::test]
    async fn a_mail_refused_after_its_data_is_refused() {
        let smtp = scripted(|_, line| match line {
            "." => Some("554 5.7.1 Spam"),
            _ => usual(line),
        })
        .await;
        let result = smtp.send(&message()).await;
        assert_eq!(result, Err(SendError::Refused("554 5.7.1 Spam".to_owned())));
    }
}
