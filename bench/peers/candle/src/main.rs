//! candle-peer MODEL PROMPT NEW RUNS: tokens a second of prefill and of decoding, as one line of JSON.
//!
//! The same counts as `kwaai bench -p PROMPT -n NEW -r RUNS`: one run warms up, the rest are reported one by one.
//! Threads come from RAYON_NUM_THREADS. Token ids are arbitrary; what they say does not change the time.

use candle_core::{quantized::gguf_file, Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;
use std::time::Instant;

/// Feeds `n` ids at position `at`, waits for the logits, and says how many seconds that took.
fn feed(model: &mut ModelWeights, n: usize, at: usize) -> anyhow::Result<f64> {
    let ids: Vec<u32> = (0..n).map(|i| ((at + i) * 7919 % 20000 + 300) as u32).collect();
    let start = Instant::now();
    let input = Tensor::from_vec(ids, (1, n), &Device::Cpu)?;
    let logits = model.forward(&input, at)?.flatten_all()?.to_vec1::<f32>()?;
    anyhow::ensure!(logits.iter().all(|x| x.is_finite()), "the logits are not finite");
    Ok(start.elapsed().as_secs_f64())
}

/// The speeds of `runs` prompts of `n` ids.
fn prefill(model: &mut ModelWeights, n: usize, runs: usize) -> anyhow::Result<Vec<f64>> {
    let mut speeds = Vec::new();
    for _ in 0..=runs {
        model.clear_kv_cache();
        speeds.push(n as f64 / feed(model, n, 0)?);
    }
    Ok(speeds.split_off(1))
}

/// The speeds of `runs` stretches of `n` ids, one at a time.
fn decode(model: &mut ModelWeights, n: usize, runs: usize) -> anyhow::Result<Vec<f64>> {
    let mut speeds = Vec::new();
    for _ in 0..=runs {
        model.clear_kv_cache();
        feed(model, 1, 0)?;
        let start = Instant::now();
        for at in 1..=n {
            feed(model, 1, at)?;
        }
        speeds.push(n as f64 / start.elapsed().as_secs_f64());
    }
    Ok(speeds.split_off(1))
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    anyhow::ensure!(args.len() == 5, "usage: candle-peer MODEL PROMPT NEW RUNS");
    let (prompt, new, runs) = (args[2].parse()?, args[3].parse()?, args[4].parse()?);
    let mut file = std::fs::File::open(&args[1])?;
    let content = gguf_file::Content::read(&mut file)?;
    let mut model = ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
    let pp = if prompt > 0 { prefill(&mut model, prompt, runs)? } else { Vec::new() };
    let tg = if new > 0 { decode(&mut model, new, runs)? } else { Vec::new() };
    println!("{{\"peer\": \"candle\", \"pp\": {pp:?}, \"tg\": {tg:?}}}");
    Ok(())
}
