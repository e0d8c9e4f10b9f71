from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from inkling.training.augment.poses import View
from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.distill.ensemble import Ensemble, averaged, whole_clip, with_pseudo_labels
from inkling.training.labels import UNLABELLED
from inkling.training.networks.build import build_teacher
from tests.training.support import tiny_recipe, write_stick_set

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


def test_answers_are_averaged_over_versions_of_a_clip(corpus: Corpus, together: Ensemble) -> None:
    examples = corpus.examples[:4]

    def backwards(clips: Sequence[Tensor], random: torch.Generator) -> Sequence[View]:
        return [View(clip.flip(0), torch.arange(len(clip)).flip(0)) for clip in clips]

    other = whole_clip(together, [replace(e, pose=e.pose.flip(0)) for e in examples])
    expected = (whole_clip(together, examples).exp() + 2 * other.exp()) / 3
    torch.testing.assert_close(averaged(together, examples, backwards, 2, torch.Generator()).exp(), expected)


def test_pseudo_labels_are_for_unlabelled_clips_only(corpus: Corpus, together: Ensemble) -> None:
    answers = whole_clip(together, corpus.examples)
    found = with_pseudo_labels(answers, corpus.examples)
    for before, after, answer in zip(corpus.examples, found, answers, strict=True):
        assert after.pose is before.pose
        assert after.target == (int(answer.argmax()) if before.target == UNLABELLED else before.target)
