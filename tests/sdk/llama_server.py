"""A real model server: llama.cpp's own HTTP server, in this process, on a free loopback port.

Usage: python llama_server.py MODEL.gguf; prints its address as JSON, ends with SIGTERM.
"""

import json
import signal
import sys

import xllamacpp


def serve(model: str) -> None:
    """Load the model, say where it is served, wait for SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = ["smollm2"]
    params.offline, params.ui, params.warmup, params.verbosity = True, False, False, 0
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 1024, 1, 1
    params.cache_prompt = False  # the same question has the same answer
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    sys.stdout.write(json.dumps({"url": server.listening_address}) + "\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    serve(sys.argv[1])
