-- wrk: one chat completion per request. BENCH_MODEL names the model, BENCH_STREAM=1 asks for a stream; wrk counts a
-- streamed answer when its last byte has come. Prints one line of key=value pairs; times in microseconds.
local question = "Which habits keep a service answering while the ones behind it fail? Name three, with one sentence "
  .. "each, and say for every one of them how a small team can check that it really works before it is needed."
local tail = os.getenv("BENCH_STREAM") == "1" and ',"stream":true}' or "}"

wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
wrk.body = '{"model":"' .. os.getenv("BENCH_MODEL") .. '","messages":[{"role":"user","content":"' .. question
  .. '"}],"temperature":0.2,"max_tokens":128' .. tail

function done(summary, latency)
  local wrong = summary.errors
  io.write(string.format("BENCH requests=%d micros=%d p50=%d p99=%d refused=%d broken=%d\n", summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99), wrong.status,
    wrong.connect + wrong.read + wrong.write + wrong.timeout))
end
