//! The physical limits that the ratios are taken against: a sink that only reads, writes and syncs, and a server that
//! only calls sendfile. Both know nothing of records; they speak just enough of Kafka's framing for the same client.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Reads frames, appends them to one file, and answers each when a sync that came after its write has finished: the
/// rhythm of a log that commits in groups.
pub struct Sink {
    pub address: SocketAddr,
}

#[derive(Default)]
struct Progress {
    written: u64,
    synced: u64,
}

impl Sink {
    /// Starts the sink's threads; they end with the process.
    pub fn start(directory: &Path) -> io::Result<Sink> {
        let file = Arc::new(File::create(directory.join("sink"))?);
        let progress = Arc::new((Mutex::new(Progress::default()), Condvar::new()));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        {
            let (file, progress) = (file.clone(), progress.clone());
            thread::spawn(move || sync_for_ever(&file, &progress));
        }
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (file, progress) = (file.clone(), progress.clone());
                thread::spawn(move || absorb(stream, &file, &progress));
            }
        });
        Ok(Sink { address })
    }
}

fn sync_for_ever(file: &File, progress: &(Mutex<Progress>, Condvar)) {
    let (state, changed) = progress;
    loop {
        let written = {
            let mut state = state.lock().unwrap();
            while state.written == state.synced {
                state = changed.wait(state).unwrap();
            }
            state.written
        };
        file.sync_data().unwrap();
        state.lock().unwrap().synced = written;
        changed.notify_all();
    }
}

/// One connection: a reading thread that writes to the file, an answering thread that waits for syncs.
fn absorb(mut stream: TcpStream, file: &Arc<File>, progress: &Arc<(Mutex<Progress>, Condvar)>) {
    stream.set_nodelay(true).unwrap();
    let mut answers = stream.try_clone().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel::<(u64, [u8; 4])>();
    let synced = progress.clone();
    thread::spawn(move || {
        for (written, correlation) in receiver {
            let (state, changed) = &*synced;
            let mut state = state.lock().unwrap();
            while state.synced < written {
                state = changed.wait(state).unwrap();
            }
            drop(state);
            let mut answer = vec![0, 0, 0, 4];
            answer.extend_from_slice(&correlation);
            if answers.write_all(&answer).is_err() {
                return;
            }
        }
    });
    let mut frame = Vec::new();
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        frame.resize(u32::from_be_bytes(length) as usize, 0);
        if stream.read_exact(&mut frame).is_err() {
            return;
        }
        let (state, changed) = &**progress;
        let mut state = state.lock().unwrap();
        (&**file).write_all(&frame).unwrap();
        state.written += 1;
        let ticket = state.written;
        drop(state);
        changed.notify_all();
        if sender.send((ticket, frame[4..8].try_into().unwrap())).is_err() {
            return;
        }
    }
}

/// Answers every request with the next part of a file, by sendfile, behind a length; after the last part comes the first.
pub struct SendfileServer {
    pub address: SocketAddr,
}

impl SendfileServer {
    /// Serves `path` from the page cache in parts of `bytes`.
    pub fn start(path: &Path, bytes: u32) -> io::Result<SendfileServer> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut position = 0;
                while serve(&mut stream, &file, position, bytes).is_ok() {
                    position += u64::from(bytes);
                    if position + u64::from(bytes) > end {
                        position = 0;
                    }
                }
            }
        });
        Ok(SendfileServer { address })
    }
}

fn serve(stream: &mut TcpStream, file: &File, from: u64, bytes: u32) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 8];
    stream.read_exact(&mut request)?;
    stream.write_all(&bytes.to_be_bytes())?;
    let mut position = from as libc::off_t;
    let end = position + libc::off_t::from(bytes);
    while position < end {
        let rest = (end - position) as usize;
        // SAFETY: both descriptors are open for the whole call, and `position` outlives it.
        let sent = unsafe { libc::sendfile(stream.as_raw_fd(), file.as_raw_fd(), &mut position, rest) };
        if sent <= 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
