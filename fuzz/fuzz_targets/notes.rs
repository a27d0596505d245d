//! Any bytes as what only servers write (nonce, holder, note of what was used): without the key nobody makes one, and
//! what was sealed is read as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/run/seal/word.rs"]
#[allow(dead_code)]
mod word;

use word::{Kind, Seal, Start};

fuzz_target!(|input: (&[u8], &str, u64)| {
    let (laid, text, made) = input;
    let seal = Seal::new("a key that no pod knows, and no fuzzer");
    let start = Start { company: "c", agent: "a", run: "r", task: text, cwd: "/w" };
    assert_eq!(seal.made(&String::from_utf8_lossy(laid), &start), None);
    assert!(seal.holder(laid, "uid").is_none() && seal.usage_note(laid, "r").is_none());

    let nonce = seal.nonce("unique", made, &start);
    assert_eq!(seal.made(&nonce, &start), Some(made));
    let other = Start { run: text, task: "r", ..start };
    assert_eq!(seal.made(&nonce, &other), (other == start).then_some(made));
    let line = text.replace('\n', " ");
    let note = format!("{line}\n{}", seal.of(Kind::Usage, &["r", &line]));
    assert_eq!(seal.usage_note(note.as_bytes(), "r"), Some(line.as_str()));
    assert!(seal.usage_note(note.as_bytes(), "r2").is_none() && seal.holder(note.as_bytes(), "r").is_none());
    let word = line.replace('.', " ");
    let holder = format!("{word}.{}", seal.of(Kind::Holder, &["uid", &word]));
    assert_eq!(seal.holder(holder.as_bytes(), "uid"), Some(holder.as_str()));
    // Whatever is added to what a server wrote, or taken from it, it is none any more.
    let mixed = [nonce.as_bytes(), laid].concat();
    let of_mixed = String::from_utf8_lossy(&mixed);
    assert_eq!(seal.made(&of_mixed, &start), laid.is_empty().then_some(made));
});
