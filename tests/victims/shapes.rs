// SPDX-License-Identifier: Apache-2.0
// Rust with methods in impl blocks, traits, generics, closures and iterator chains.
use std::collections::HashMap;

trait Shape {
    fn area(&self) -> f64;
    fn name(&self) -> String;
}

struct Square {
    side: f64,
}

impl Shape for Square {
    fn area(&self) -> f64 {
        self.side * self.side
    }
    fn name(&self) -> String {
        format!("square {}", self.side)
    }
}

#[inline(always)]
fn innermost(x: u32) -> u32 {
    (0..x).map(|i| i.wrapping_mul(31)).fold(7, |a, b| a ^ b)
}

#[inline(always)]
fn middle(x: u32) -> u32 {
    innermost(x).wrapping_add(innermost(x + 1))
}

#[inline(never)]
fn outer(x: u32) -> u32 {
    middle(x) ^ middle(x / 2)
}

fn main() {
    let shapes: Vec<Box<dyn Shape>> = (0..8)
        .map(|i| Box::new(Square { side: i as f64 }) as Box<dyn Shape>)
        .collect();
    let mut areas: HashMap<String, f64> = HashMap::new();
    for shape in &shapes {
        *areas.entry(shape.name()).or_insert(0.0) += shape.area();
    }
    let mut sums: Vec<u32> = (1..20).map(outer).collect();
    sums.sort_by(|a, b| b.cmp(a));
    println!("alive {} {}", sums[0], areas.len());
}
