from __future__ import annotations

import pytest
import torch

from tests.training.support import tiny_recipe, write_stick_set
from training.build import build_teacher
from training.corpus import Corpus, load_corpus
from training.ensemble import Ensemble, whole_clip, with_pseudo_labels
from training.streams import UNLABELLED

RECIPE = tiny_recipe()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", train=3, test=1, unlabelled=4)
    return load_corpus(RECIPE, root)


@pytest.fixture(scope="module")
def together(corpus: Corpus) -> Ensemble:
    torch.manual_seed(0)
    return Ensemble([build_teacher(RECIPE, corpus.input, 3) for _ in range(3)]).eval()


def test_an_ensemble_answers_the_mean_of_its_teachers_probabilities(corpus: Corpus, together: Ensemble) -> None:
    x, lengths = corpus.examples[0].pose[None], torch.tensor([len(corpus.examples[0].pose)])
    with torch.no_grad():
        found = together(x, lengths).exp()
        expected = torch.stack([teacher(x, lengths).softmax(-1) for teacher in together.members()]).mean(0)
    torch.testing.assert_close(found, expected)


def test_there_is_no_ensemble_of_nobody() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Ensemble([])


def test_the_answer_to_a_whole_clip_does_not_depend_on_its_companions(corpus: Corpus, together: Ensemble) -> None:
    examples = corpus.examples[:5]
    answers = whole_clip(together, examples)
    torch.testing.assert_close(answers.exp().sum(-1), torch.ones(5))
    for i, example in enumerate(examples):
        torch.testing.assert_close(answers[i], whole_clip(together, [example])[0])


def test_pseudo_labels_are_for_unlabelled_clips_only(corpus: Corpus, together: Ensemble) -> None:
    found = with_pseudo_labels(together, corpus.examples)
    for before, after in zip(corpus.examples, found, strict=True):
        assert after.pose is before.pose
        if before.target == UNLABELLED:
            assert after.target == int(whole_clip(together, [before])[0].argmax())
        else:
            assert after is before
    labelled = [e for e in corpus.examples if e.target != UNLABELLED]
    assert with_pseudo_labels(together, labelled) == tuple(labelled)
