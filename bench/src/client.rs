//! A lean HTTP client: one blocking keep-alive connection a thread, requests encoded beforehand. On two cores the
//! client's work is taken from the server's, so there is as little of it as can be.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// A connection with its buffer for answers.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(Self {
            stream,
            buffer: vec![0; 256 * 1024],
        })
    }

    /// Sends a request and reads the whole answer; returns its status and body.
    pub fn call(&mut self, head: &[u8], body: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(head)?;
        if !body.is_empty() {
            self.stream.write_all(body)?;
        }
        let mut filled = 0;
        let head_end = loop {
            filled += self.more(filled)?;
            let window = &self.buffer[..filled];
            if let Some(end) = window.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..head_end])?;
        let status = head.get(9..12).unwrap_or_default().parse()?;
        let length: usize = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")
                    .map(str::to_owned)
            })
            .context("the answer has no content-length")?
            .trim()
            .parse()?;
        while filled < head_end + length {
            filled += self.more(filled)?;
        }
        Ok((status, &self.buffer[head_end..head_end + length]))
    }

    fn more(&mut self, filled: usize) -> io::Result<usize> {
        if filled == self.buffer.len() {
            self.buffer.resize(filled * 2, 0);
        }
        match self.stream.read(&mut self.buffer[filled..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// What a load came to.
pub struct Outcome {
    /// Requests that were answered.
    pub requests: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Of each request, sorted.
    pub latencies: Vec<Duration>,
    /// Processor time of the server that was asked, in microseconds a request.
    pub server_us: f64,
    /// The same of Postgres.
    pub postgres_us: f64,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        count(self.requests) / self.elapsed.as_secs_f64()
    }

    /// In milliseconds.
    pub fn p99_ms(&self) -> f64 {
        let index = self.latencies.len() * 99 / 100;
        self.latencies
            .get(index)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn count(value: u64) -> f64 {
    value as f64
}

/// Lets `clients` threads send for `time`. `worker(n)` makes what client `n` does at each turn.
pub fn load<W>(
    address: SocketAddr,
    clients: usize,
    time: Duration,
    worker: impl Fn(usize) -> W,
) -> anyhow::Result<Outcome>
where
    W: FnMut(&mut Connection) -> anyhow::Result<()> + Send,
{
    let began = Instant::now();
    let results: Vec<anyhow::Result<Vec<Duration>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|number| {
                let mut turn = worker(number);
                scope.spawn(move || {
                    let mut connection = Connection::open(address)?;
                    let mut latencies = Vec::new();
                    while began.elapsed() < time {
                        let asked = Instant::now();
                        turn(&mut connection)?;
                        latencies.push(asked.elapsed());
                    }
                    Ok(latencies)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("a client died")))
            })
            .collect()
    });
    let elapsed = began.elapsed();
    let mut latencies = Vec::new();
    for result in results {
        latencies.extend(result?);
    }
    latencies.sort_unstable();
    Ok(Outcome {
        requests: latencies.len() as u64,
        elapsed,
        latencies,
        server_us: 0.0,
        postgres_us: 0.0,
    })
}

/// Sends and checks the status.
pub fn expect(
    connection: &mut Connection,
    head: &[u8],
    body: &[u8],
    wanted: u16,
) -> anyhow::Result<()> {
    let (status, answer) = connection.call(head, body)?;
    ensure!(
        status == wanted,
        "{status} instead of {wanted}: {}",
        String::from_utf8_lossy(&answer[..answer.len().min(500)])
    );
    Ok(())
}
