// SPDX-License-Identifier: Apache-2.0
// Iterator chains, closures, generics and trait objects, two threads.
//
//	inline-rust SECONDS   prints "ready", works, prints a checksum
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

trait Shape {
    fn area(&self, scale: f64) -> f64;
}

struct Polygon<const N: usize>([f64; N]);

impl<const N: usize> Shape for Polygon<N> {
    fn area(&self, scale: f64) -> f64 {
        self.0.iter().map(|s| s * scale).filter(|s| *s > 1.0).map(f64::sqrt).sum()
    }
}

#[inline(never)]
fn count_words(words: &[String]) -> u64 {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word.to_uppercase()).or_insert(0u64) += 1;
    }
    counts.values().fold(7, |a, b| a * 31 + b)
}

#[inline(never)]
fn work(seed: u64, end: Instant) -> u64 {
    let shapes: Vec<Box<dyn Shape>> = (0..200)
        .map(|i| -> Box<dyn Shape> {
            if i % 2 == 0 { Box::new(Polygon([i as f64; 9])) } else { Box::new(Polygon([1.5; 17])) }
        })
        .collect();
    let words: Vec<String> = (0..200).map(|i| format!("word {}", i * 7919 % 97)).collect();
    let mut x = seed;
    while Instant::now() < end {
        let mut numbers: Vec<u64> = (0..4000)
            .map(|_| {
                x = x.wrapping_mul(6364136223846793005).wrapping_add(1);
                x
            })
            .collect();
        numbers.sort_by_key(|n| n ^ 5);
        x = x.wrapping_add(numbers[9]).wrapping_add(count_words(&words));
        x = x.wrapping_add(shapes.iter().map(|s| s.area(1.25)).sum::<f64>() as u64);
    }
    x
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(5.0);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    println!("ready");
    std::io::stdout().flush().unwrap();
    let other = std::thread::spawn(move || work(2, end));
    println!("{}", work(1, end).wrapping_add(other.join().unwrap()));
}
