// Package transcript lets anybody check later that an answer came from the model
// it was paid as.
//
// A gating node keeps what it was asked, as the client sent it, and for each 32
// tokens of an answer the tokens, a [Fingerprint] of the last hidden states that
// led to them, and the experts that every layer chose; it signs the hashes of the
// three as a [ledger.Chunk], each chunk naming the one before, and the first what
// was asked. A [Writer] makes the chain, [Transcript.Verify] checks it. The
// transcript itself is shown when a beacon or a complaint asks for it.
//
// A [Verifier] runs prompt and answer through its own copy of the model as a
// prompt, many rows at a time, along the experts of the transcript, since where
// two experts are nearly equal honest machines choose differently and go on
// differently. It compares
//
//   - the fingerprint: of the 128 largest values, how many have the exponent
//     that it finds, and by how much their 7 bits of mantissa differ (the idea
//     is TOPLOC's, arXiv 2501.16007);
//   - the routes: the share of choices whose expert ranks further than a margin
//     below the last that it would have chosen itself;
//   - for greedy answers, the share of tokens whose logit is further than a
//     margin below the best.
//
// [Limits] say what honest machines may differ by; TestCalibration measures them
// on the demo model, with honest machines of three kinds and cheats of five: see
// [DefaultLimits]. What is found is a share of failed
// chunks in millionths, which is what a jury of gating nodes rules on.
//
// It cannot see what was sampled above zero temperature from honest logits, nor
// who read the prompt; nor does it know tokenizers: whether the prompt's tokens
// are those of the request is for its caller to say. Nothing here starts a goroutine or reads a clock.
package transcript
