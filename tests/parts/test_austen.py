"""Text: windows cut by hand, no test character among the training ones, a transformer counted and asked who sees what,
and what a model writes."""

import shutil
from html import escape

import numpy as np
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.contracts import toy
from fedlab_widgets.executors import Stacked, fitting
from fedlab_widgets.nets import transformer
from fedlab_widgets.plan import prepare
from fedlab_widgets.tasks import austen, readers
from fedlab_widgets.tasks.austen import CHARACTERS, encoded
from fedlab_widgets.text import OPENING, write
from fedlab_widgets.widgets.inside import Inside
from fedlab_widgets.world import rows_of, world_of

CPU = torch.device("cpu")
SMALL = fl.CharTransformer(width=8, layers=2, heads=2)


@pytest.fixture(scope="module")
def novels():
    return readers.read_austen()


@pytest.fixture(scope="module")
def data():
    return rows_of(fl.Austen())


def as_text(codes) -> str:
    return "".join(CHARACTERS[int(c)] for c in codes)


def toy_text() -> fl.Arrays:
    """What the toy world of the contracts has of tables and images, as tokens: 6 in a row, of 7."""
    x = np.random.default_rng(0).integers(0, 7, (toy.ROWS, 6))
    return fl.from_arrays(x, x[:, -1], client=np.arange(toy.ROWS) % toy.CLIENTS, name="toy text")


def test_the_chapters_of_six_novels(novels):
    # Headings of the form "CHAPTER XII" or "Chapter 12" at the start of a line, counted in the files with grep.
    assert {title: len(chapters) for title, chapters in novels.items()} == {
        "Sense and Sensibility": 50, "Pride and Prejudice": 61, "Mansfield Park": 48, "Emma": 55,
        "Northanger Abbey": 31, "Persuasion": 24}
    assert novels["Emma"][0].startswith("Emma Woodhouse, handsome, clever, and rich, with a comfortable home and ")
    assert novels["Emma"][17].endswith("it could make him unjust to the merit of another."), "before VOLUME II"
    assert novels["Emma"][54].endswith("fully answered in the perfect happiness of the union."), "before FINIS"
    assert novels["Northanger Abbey"][30].endswith("No. 97, Vol. II, Rambler."), "before the editor's note"
    everything = "".join(text for chapters in novels.values() for text in chapters)
    assert not any(word in everything for word in ("CHAPTER", "VOLUME", "FINIS", "THE END", "Signet", "  "))
    assert novels["Pride and Prejudice"][0].startswith(OPENING)


def test_the_vocabulary():
    # The rare one, line break and space, twelve signs, and 26 letters twice.
    assert len(CHARACTERS) == len(set(CHARACTERS)) == len(austen.NAMES) == 3 + 12 + 52 == 67
    assert encoded("Ab\n £3é😀").tolist() == [CHARACTERS.index("A"), CHARACTERS.index("b"), 1, 2, 0, 0, 0, 0]
    for text in ("It is a truth", CHARACTERS):
        assert as_text(encoded(text)) == text


def test_windows_and_labels_by_hand(data, novels):
    # Chapter 1 of Sense and Sensibility: 32 characters, and the one after them; the next window begins after that.
    first = "The family of Dashwood had long been settled in Sussex. Their estate was large, and their"
    assert novels["Sense and Sensibility"][0].startswith(first)
    assert as_text(data.x[0]) == first[:32] and CHARACTERS[data.y[0]] == first[32]
    assert as_text(data.x[1]) == first[33:65] and CHARACTERS[data.y[1]] == first[65]
    assert data.labels[data.y[0]] == austen.NAMES[encoded(first)[32]]


def test_clients_are_chapters_and_domains_novels(data, novels):
    lengths = [len(text) for chapters in novels.values() for text in chapters]
    # Of n characters a tenth, rounded, is kept to test on; windows of 33 that touch: as many as fit.
    assert torch.bincount(data.client).tolist() == [(n - round(n / 10)) // 33 for n in lengths]
    assert len(data.test_y) == sum(round(n / 10) // 33 for n in lengths)
    assert fl.Natural().count(data) == len(data.client_names) == 269
    assert data.client_names[50 + 61 + 48 + 11] == "Emma 12" and data.groups[3] == "Emma"
    assert data.group[data.client == 50 + 61 + 48 + 11].unique().tolist() == [3]
    assert torch.bincount(data.test_group).min() > 1000 and data.favourable is None


@pytest.mark.parametrize("stride", [None, 8])
def test_no_test_window_shares_a_character_with_a_training_window(monkeypatch, stride):
    """Chapters in which no character comes twice: whatever is shared would show."""
    chapters = ["".join(chr(i) for i in range(k, k + 60)) for k in (0, 60, 120)]
    monkeypatch.setattr(austen, "read_austen", lambda: {"Emma": (chapters[0],), "Persuasion": tuple(chapters[1:])})
    monkeypatch.setattr(austen, "encoded", lambda text: np.array([*map(ord, text)], dtype=np.uint8))
    monkeypatch.setattr(austen, "TEST_SHARE", 0.4)
    d = fl.Austen(context=8, stride=stride).load()
    learned, tested = ({*x.flatten().tolist(), *y.tolist()} for x, y in ((d.x, d.y), (d.test_x, d.test_y)))
    assert not learned & tested
    # Of 60 characters 36 are to learn from and 24 to test on. Windows of 9: at 0, 9, 18, 27, and at 0, 9 of the rest;
    # 8 apart: at 0, 8, 16, 24, and at 0, 8.
    assert d.client.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and d.group.tolist() == [0] * 4 + [1] * 8
    assert d.y.tolist()[:4] == ([8, 17, 26, 35] if stride is None else [8, 16, 24, 32])
    assert d.test_x[:2, 0].tolist() == ([36, 45] if stride is None else [36, 44])


def test_a_damaged_file_is_named(tmp_path, monkeypatch):
    shutil.copytree(readers.data_folder() / "austen", tmp_path / "data" / "austen")
    monkeypatch.setattr(readers, "_INSTALLED", tmp_path / "data")
    (tmp_path / "data" / "austen" / "emma.txt.gz").write_bytes(b"no")
    with pytest.raises(fl.BadInput, match=r"emma\.txt\.gz has 2 bytes instead of 324290; restore it from git"):
        fl.Austen(context=16).load()


@pytest.mark.parametrize("net, context, tokens, count", [
    # Embedding and head 2 K W + K, places T W, a block 12 W^2 + 13 W (norms 4 W; query, key, value, out 4 (W^2 + W);
    # perceptron 8 W^2 + 5 W), last norm 2 W. W = 32: 4288 + 67 + 1024 + 2 (12 288 + 416) + 64.
    (fl.CharTransformer(), 32, 67, 30_851),
    # W = 8: 2 * 7 * 8 + 7 + 6 * 8 + 2 (768 + 104) + 16 = 112 + 7 + 48 + 1744 + 16.
    (SMALL, 6, 7, 1927),
])
def test_parameters_by_hand(net, context, tokens, count):
    made = net.build(torch.Size([context]), tokens)
    assert sum(p.numel() for p in made.parameters()) == count and not list(made.buffers())
    assert made(torch.zeros(3, context)).shape == (3, tokens)


def test_nobody_sees_what_comes_later():
    torch.manual_seed(0)
    net = fl.CharTransformer(width=8, layers=3, heads=2).build(torch.Size([6]), 7).double()
    x = torch.tensor([[0, 1, 2, 3, 4, 5]])
    before = net.everywhere(x)
    for place in range(6):
        other = x.clone()
        other[0, place] = 6
        moved = (net.everywhere(other) - before).abs().amax(-1)[0]
        assert bool((moved[:place] == 0).all()), "an earlier guess has seen a later character"
        assert bool((moved[place:] > 1e-6).all()), "a character is not seen from its place on"
    # The short way to the last guess, which leaves out the others in the last block, is the same guess.
    torch.testing.assert_close(net(x), before[:, -1], rtol=0, atol=1e-14)


def test_the_order_of_characters_counts():
    torch.manual_seed(0)
    net = fl.CharTransformer(width=8, layers=1).build(torch.Size([6]), 7)   # deeper ones tell it by who sees whom, too
    assert not torch.allclose(net(torch.tensor([[0, 1, 2, 3, 4, 5]])), net(torch.tensor([[1, 0, 2, 3, 4, 5]])))


def test_a_block_is_that_of_torch():
    """nn.TransformerEncoderLayer, written by others, with the weights of ours."""
    torch.manual_seed(0)
    ours = transformer.Block(8, 2).double()
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 32, dropout=0.0, activation="gelu", batch_first=True,
                                              norm_first=True).double()
    theirs.load_state_dict({
        "self_attn.in_proj_weight": torch.cat([ours.query.weight, ours.key_value.weight]),
        "self_attn.in_proj_bias": torch.cat([ours.query.bias, ours.key_value.bias]),
        **{f"{name}.{kind}": getattr(layer, kind) for kind in ("weight", "bias") for name, layer in (
            ("self_attn.out_proj", ours.out), ("norm1", ours.before), ("norm2", ours.between),
            ("linear1", ours.mlp[0]), ("linear2", ours.mlp[2]))}})
    h = torch.randn(3, 5, 8, dtype=torch.float64)
    expected = theirs(h, src_mask=torch.nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64))
    torch.testing.assert_close(ours(h, last=False), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours(h, last=True), expected[:, -1:], rtol=0, atol=1e-12)


def test_attention_by_hand():
    """One head, one block, width 4. Queries, keys, perceptron are zero and out and value the identity: what the last
    place hears is the mean of what all places say."""
    net = fl.CharTransformer(width=4, layers=1, heads=1).build(torch.Size([3]), 5).double()
    block, eye = net.blocks[0], torch.eye(4, dtype=torch.float64)
    with torch.no_grad():
        for p in (*block.query.parameters(), *block.key_value.parameters(), *block.out.parameters(),
                  *block.mlp.parameters(), net.place):
            p.zero_()
        block.key_value.weight[4:], block.out.weight[:] = eye, eye
        net.token.weight[:] = torch.tensor([[1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
        net.head.weight[:], net.head.bias[:] = torch.eye(5, 4), 0
        # Tokens 0, 1, 2 have mean 0 and variance 1, so the norm leaves them but for its 1e-5 in the root. Their mean is
        # (1, -1/3, -1/3, -1/3); the last, (1, -1, -1, 1), plus that: (2, -4/3, -4/3, 2/3), of mean 0 and variance
        # (4 + 16/9 + 16/9 + 4/9) / 4 = 2: over its root (1.41421, -0.94281, -0.94281, 0.47140), and 0 for label 4.
        expected = torch.tensor([[2**0.5, -(8**0.5) / 3, -(8**0.5) / 3, 2**0.5 / 3, 0]], dtype=torch.float64)
        torch.testing.assert_close(net(torch.tensor([[0, 1, 2]])), expected, rtol=0, atol=1e-4)


def test_clients_train_side_by_side():
    world = world_of(fl.Experiment(task=toy_text(), net=SMALL, partition=fl.Natural()), CPU)
    assert world.stacks and isinstance(fitting(world)[0], Stacked)


@pytest.mark.parametrize("contract", ["stacked", "chunk", "pieces", "precision"])
def test_the_contracts_of_the_net_on_text(monkeypatch, contract):
    monkeypatch.setattr(toy, "table", toy_text)
    assert list(fl.check_part(SMALL, only=contract).kept) == [contract]


def test_what_the_net_refuses():
    with pytest.raises(fl.BadInput, match=r"net\.width = 33 is no multiple of net\.heads = 2; give 32"):
        fl.CharTransformer(width=33).build(torch.Size([8]), 7)
    with pytest.raises(fl.BadInput, match="needs rows of tokens.*choose task=austen"):
        fl.CharTransformer().build(torch.Size([1, 8, 8]), 10)
    e = fl.Experiment(task=toy.table(), net=SMALL, partition=fl.IID(clients=2))
    with pytest.raises(fl.BadInput, match="reads tokens, whole numbers from 0 to 1.*choose task=austen"):
        prepare(e, world_of(e, CPU))


class Parrot(torch.nn.Module):
    """Says that the next character is the next one of the alphabet, with a score that leaves little doubt."""

    context, tokens = 8, len(CHARACTERS)

    def __init__(self, score):
        super().__init__()
        self.score = torch.nn.Parameter(torch.tensor(float(score)))

    def forward(self, x):
        return self.score * torch.nn.functional.one_hot((x[:, -1].long() + 1) % self.tokens, self.tokens)


def test_writing_by_hand():
    assert write(Parrot(1.0), "Emma a", 4, temperature=0) == "Emma abcde"
    assert write(Parrot(50.0), "A", 3, temperature=1.0) == "ABCD"
    assert write(Parrot(1.0), "A", 3, temperature=1e-3) == "ABCD"
    # With scores of 0 all 66 characters are as likely: in 6600 draws each comes 100 times, give or take 10; 5 times
    # that is out of reach. The rare one is never written, though what follows "z" in the parrot's alphabet is it.
    written = write(Parrot(0.0), "", 6600, temperature=1.0)
    counts = [written.count(c) for c in CHARACTERS]
    assert counts[0] == 0 and min(counts[1:]) > 50 and max(counts) < 150
    assert write(Parrot(9.0), "z", 1, temperature=0)[1] != CHARACTERS[0]
    assert write(Parrot(0.0), "", 50, seed=1) == write(Parrot(0.0), "", 50, seed=1) != write(Parrot(0.0), "", 50)
    assert write(Parrot(0.0), "Anne", 0) == "Anne"


def test_a_short_prompt_stands_after_a_sentence():
    heard = []

    class Ears(Parrot):
        def forward(self, x):
            heard.append(as_text(x[0]))
            return super().forward(x)

    write(Ears(1.0), "Sir", 1, temperature=0)
    write(Ears(1.0), "Sir Walter Elliot", 2, temperature=0)
    assert heard == ["ife.\nSir"[-8:], "r Elliot", " Elliotu"]


@pytest.mark.parametrize("wrong, says", [
    ({"source": fl.Logistic().build(torch.Size([8]), 67)}, "no net that fl.CharTransformer built"),
    ({"source": fl.Experiment()}, "Experiment with task = adult cannot write"), ({"source": 3}, "int cannot write"),
    ({"prompt": 3}, "prompt = 3 is a int"), ({"length": -1}, "length = -1 is not allowed"),
    ({"temperature": float("nan")}, "temperature = nan is not allowed"), ({"temperature": -1}, "from 0 to 10"),
])
def test_what_cannot_be_written(wrong, says):
    with pytest.raises(fl.BadInput, match=says):
        write(**({"source": Parrot(1.0)} | wrong))


def test_the_recipe_learns_and_writes(tmp_path):
    from fedlab_widgets.recipes.austen import austen as entered

    e = entered.experiment.changed(rounds=2, **{"task.context": 16, "task.stride": 160, "net.width": 16,
                                                "evaluate.every": 1, "evaluate.clients": 5})
    run = fl.run(e, out=tmp_path / "run", progress=False)
    losses = run.history.loss
    assert losses[1] < losses[0] < np.log(67), "better than no idea, and better each round"
    assert run.majority == pytest.approx(0.1788, abs=0.02)   # a space, as in the whole text
    before, after = write(e, "Emma ", 40), write(run, "Emma ", 40)
    assert before != after and len(after) == 45 and after.startswith("Emma ")
    # What is read live is what the models write: before the first round, then after each.
    read = [pair for _, view in run.views["writing"] for pair in map(tuple, view.values)]
    assert [label for label, _ in read] == ["before training", "after round 1", "after round 2"]
    samples = [text for _, text in read]
    assert samples[0] == write(e, "Emma", 160) and samples[2] == write(run, "Emma", 160) != samples[1]
    assert run.figure("writing").data.text.tolist() == samples
    page = Inside.of(run).pictures.value
    assert all(escape(text) in page for text in samples)
    assert "transformer decoder of 2 blocks" in run.methods_text()


def test_only_models_of_text_write(tmp_path):
    with pytest.raises(fl.BadInput, match="writing reads what a model of text writes.*choose task=austen"):
        fl.run(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1,
                             evaluate=fl.Evaluation(readings=(fl.Writing(),))), out=tmp_path / "run", progress=False)
