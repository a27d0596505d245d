//! How fast the tail is without JavaScript: `tail FILE [digest]` reads the file once, as the hub does, and prints
//! bytes, batches and seconds as JSON.
//!
//! `cargo run --release --example tail -- FILE`; `npm run bench -- lines` builds and runs it.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use opencode_k8s::tail::follower::FinishRule;
use opencode_k8s::tail::source::{FileSource, VolumePath};
use opencode_k8s::tail::{Hub, TailOptions, text_buffers};

#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: tail FILE [digest]")?;
    let digest = args.next().is_some();
    let file = VolumePath::in_trusted_folder(Path::new(&path)).ok_or("the path names no file")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let since = Instant::now();
    let (bytes, batches) = runtime.block_on(async {
        let options = TailOptions {
            digest,
            ..TailOptions::default()
        };
        let tail = Hub::default().follow(Box::new(FileSource::new(file, false)), path, options)?;
        tail.end(FinishRule::Drain);
        let (mut bytes, mut batches) = (0, 0);
        loop {
            let look = tail.next().await;
            bytes += look.text.len();
            batches += usize::from(!look.text.is_empty());
            text_buffers::give_back(look.text);
            if look.end.is_some() {
                return std::io::Result::Ok((bytes, batches));
            }
        }
    })?;
    let seconds = since.elapsed().as_secs_f64();
    writeln!(
        std::io::stdout(),
        r#"{{"bytes":{bytes},"batches":{batches},"seconds":{seconds}}}"#
    )?;
    Ok(())
}
