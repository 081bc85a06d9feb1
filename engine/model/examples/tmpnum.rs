#![allow(clippy::all, clippy::unwrap_used, clippy::print_stdout, missing_docs)]
use std::io::BufRead;
use mesh_model::Number;
fn main() {
    for l in std::io::stdin().lock().lines() {
        let l = l.unwrap();
        let p: Vec<&str> = l.split(' ').collect();
        let n = |t: &str| t.parse::<Number>().unwrap();
        let r = if p.len() == 1 { n(p[0]) } else { let (a,b)=(n(p[0]),n(p[2])); match p[1] {"+"=>a.add(&b),"-"=>a.sub(&b),"*"=>a.mul(&b),_=>a.div(&b)}.unwrap() };
        println!("{r}");
    }
}
