"""Write a llama model of random weights: it says nothing, but it is one.

Its tokens are all bytes and a few special ones, so that what it generates is
the bytes themselves: UTF-8 that is cut anywhere, and broken.
"""

import sys

import gguf
import numpy

WIDTH, HEADS, LAYERS, HIDDEN, CONTEXT = 64, 4, 2, 128, 512

tokens = [b"<unk>", b"<s>", b"</s>"] + [b"<0x%02X>" % b for b in range(256)]
tokens += [("▁" + chr(c)).encode() for c in range(ord("a"), ord("z") + 1)]
kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * 26

w = gguf.GGUFWriter(sys.argv[1], "llama")
w.add_context_length(CONTEXT)
w.add_embedding_length(WIDTH)
w.add_block_count(LAYERS)
w.add_feed_forward_length(HIDDEN)
w.add_head_count(HEADS)
w.add_head_count_kv(HEADS)
w.add_layer_norm_rms_eps(1e-5)
w.add_rope_dimension_count(WIDTH // HEADS)
w.add_vocab_size(len(tokens))
w.add_tokenizer_model("llama")
w.add_token_list(tokens)
w.add_token_scores([0.0] * len(tokens))
w.add_token_types(kinds)
w.add_bos_token_id(1)
w.add_eos_token_id(2)
w.add_unk_token_id(0)
w.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:")

random = numpy.random.default_rng(7)


def tensor(name, *shape):
    w.add_tensor(name, random.normal(0, 0.5, shape).astype(numpy.float32))


tensor("token_embd.weight", len(tokens), WIDTH)
tensor("output.weight", len(tokens), WIDTH)
w.add_tensor("output_norm.weight", numpy.ones(WIDTH, dtype=numpy.float32))
for i in range(LAYERS):
    for norm in ("attn_norm", "ffn_norm"):
        w.add_tensor(f"blk.{i}.{norm}.weight", numpy.ones(WIDTH, dtype=numpy.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        tensor(f"blk.{i}.{name}.weight", WIDTH, WIDTH)
    tensor(f"blk.{i}.ffn_gate.weight", HIDDEN, WIDTH)
    tensor(f"blk.{i}.ffn_up.weight", HIDDEN, WIDTH)
    tensor(f"blk.{i}.ffn_down.weight", WIDTH, HIDDEN)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
