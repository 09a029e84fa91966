//! A real SMTP server for the tests: aiosmtpd, run by the Python that `TRACEDESK_TEST_PYTHON` names.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tempfile::TempDir;

/// A running mail server; dropping it ends it. Recipients `reject-550@`, `defer-451@` and `drop@` get what they say.
pub(crate) struct Smtpd {
    process: Option<Child>,
    port: u16,
    folder: TempDir,
}

/// A mail as the server took it.
#[derive(Debug)]
pub(crate) struct Received {
    /// The envelope's recipients.
    pub(crate) to: Vec<String>,
    /// Headers and body.
    pub(crate) data: Vec<u8>,
}

impl Smtpd {
    /// Starts a server on a free port.
    pub(crate) fn start() -> Self {
        let mut server = Self::on_port(0);
        server.come_up();
        server
    }

    /// A server that is not up yet: its port is free and refuses connections.
    pub(crate) fn down() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on_port(listener.local_addr().unwrap().port())
    }

    fn on_port(port: u16) -> Self {
        Self {
            process: None,
            port,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts the server on its port; returns when it takes connections.
    pub(crate) fn come_up(&mut self) {
        let python = std::env::var("TRACEDESK_TEST_PYTHON")
            .expect("TRACEDESK_TEST_PYTHON must name a Python that has aiosmtpd; ./test sets it");
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/smtpd.py"))
            .arg(self.folder.path())
            .arg(self.port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("TRACEDESK_TEST_PYTHON can't be started");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        self.port = line.trim().parse().expect("smtpd.py did not start");
        self.process = Some(process);
    }

    /// Ends the server at once, with its connections.
    pub(crate) fn go_down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// For `SMTP_URL`.
    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// All mails taken so far, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .collect();
        files.sort();
        files.iter().map(|path| read(path)).collect()
    }
}

impl Drop for Smtpd {
    fn drop(&mut self) {
        self.go_down();
    }
}

fn read(path: &std::path::Path) -> Received {
    #[derive(Deserialize)]
    struct Stored {
        to: Vec<String>,
        data: String,
    }
    let stored: Stored = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    Received {
        to: stored.to,
        data: STANDARD.decode(stored.data).unwrap(),
    }
}
