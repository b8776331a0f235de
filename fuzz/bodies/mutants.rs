//! Mutants for running the fuzz bodies on stable: the same ones on every machine and every time.

/// Runs a body on every seed, then on mutants of them.
pub(crate) fn run(body: fn(&[u8]), corpus: &[Vec<u8>], rounds: usize) {
    assert!(!corpus.is_empty());
    corpus.iter().for_each(|seed| body(seed));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..rounds {
        let mut data = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut data, &mut random, corpus);
        }
        body(&data);
    }
}

fn mutate(data: &mut Vec<u8>, random: &mut Random, corpus: &[Vec<u8>]) {
    const WORDS: [&[u8]; 16] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"null",
        b"true",
        b"-1",
        b"0",
        b"9223372036854775808",
        b"1e999",
        b"\\ud800",
        b"\0",
        b"\n",
        b"\xff",
        b",\"job_id\":5",
    ];
    let at = random.below(data.len() + 1);
    let end = (at + random.below(16)).min(data.len());
    match random.below(6) {
        0 if at < data.len() => data[at] ^= 1 << random.below(8),
        1 if at < data.len() => data[at] = random.below(256) as u8,
        2 => drop(data.drain(at..end)),
        3 => data.truncate(at),
        4 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
        _ => drop(data.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
    }
}

/// xorshift64*: the same mutants on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        (mixed >> 33) as usize % bound.max(1)
    }
}
