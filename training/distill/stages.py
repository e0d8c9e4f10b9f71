"""The two kinds of network that a seed of a recipe trains, each with its own streams of randomness.

With a section `pretraining`, either is trained twice: first on those clips, as by a recipe of its own
(`first_student`, `first_teacher`), then on the recipe's clips. It begins the second time with the layers and the
recurrence that it learned the first time (`begin`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inkling.models.networks import CausalNetwork, Student, Teacher, WholeClipNetwork
from inkling.models.skeletons import Skeleton
from inkling.training.augment.poses import View
from inkling.training.data.corpus import Corpus
from inkling.training.data.folds import Fold, draw_fold
from inkling.training.data.loader import Augment, Drawing, Joining, Windows
from inkling.training.distill.ensemble import Ensemble, averaged, with_pseudo_labels
from inkling.training.distill.foresight import Foresight
from inkling.training.distill.label_propagation import neighbours_answers
from inkling.training.distill.learner import StudentLearner, TeacherLearner
from inkling.training.distill.terms import TERMS, weights_of
from inkling.training.networks.build import Network, build_student, build_teacher, with_published
from inkling.training.recipe.recipe import Recipe
from inkling.training.seeds import mixed_seed

TEACHER, STUDENT = 1, 2  # streams of randomness


def first_student(recipe: Recipe, corpus: Corpus, seed: int) -> StudentLearner | None:
    """The student about to learn the clips of `pretraining`; None where the recipe has none."""
    first, clips = recipe.first, corpus.pretraining
    if first is None or clips is None:
        return None
    return student_learner(first, clips, draw_fold(clips, first, seed), seed, None)


def first_teacher(recipe: Recipe, corpus: Corpus, seed: int, member: int = 0) -> TeacherLearner | None:
    """As `first_student`, for one of the teachers."""
    first, clips = recipe.first, corpus.pretraining
    if first is None or clips is None:
        return None
    return teacher_learner(first, clips, draw_fold(clips, first, seed), seed, member)


def teacher_learner(
    recipe: Recipe, corpus: Corpus, fold: Fold, seed: int, member: int = 0, begin: WholeClipNetwork | None = None
) -> TeacherLearner:
    """A teacher about to be trained. member: which of the recipe's `distillation.teachers`, counted from 0.

    begin: a teacher of other clips whose layers and recurrence it begins with.
    """
    which = (member,) if member else ()  # the only teacher of a recipe draws what it always drew
    torch.manual_seed(mixed_seed(seed, TEACHER, *which))
    network = with_published(build_teacher(recipe, corpus.input, len(corpus.labels)), recipe)
    network = _begun(network, begin)
    drawing = Drawing(_augment(recipe, corpus), _joining(recipe), mixed_seed(seed, TEACHER, 1, *which))
    fit, select = recipe.fit_teacher or recipe.fit, recipe.validation.select
    return TeacherLearner(network, fold, fit, drawing, select, recipe.distillation, recipe.losses)


def student_learner(
    recipe: Recipe,
    corpus: Corpus,
    fold: Fold,
    seed: int,
    teacher: Ensemble | None,
    begin: CausalNetwork | None = None,
    recogniser: CausalNetwork | None = None,
) -> StudentLearner:
    """A student about to be trained.

    teacher: trained; needed where the recipe distils from teachers. begin: as for a teacher. recogniser: trained; that
    of the recipe's section, if there is one.
    """
    torch.manual_seed(mixed_seed(seed, STUDENT))
    network = with_published(build_student(recipe, corpus.input, len(corpus.labels)), recipe)
    network = _begun(network, begin)
    if recogniser is not None and recipe.recogniser is not None and recipe.recogniser.begin:
        network.load_state_dict(recogniser.state_dict())
    elif teacher is not None and recipe.frames is not None:
        # Learning to see is most of the work on frames: the student continues with what the teacher has learned of it.
        network.extractor.load_state_dict(teacher.extractor.state_dict())
    distillation, by_step = recipe.distillation, recipe.distillation.target == "step"
    answers = _clip_answers(recipe, corpus, fold, seed, teacher, network)
    if answers is not None and distillation.pseudo_labels:
        fold = replace(fold, train=with_pseudo_labels(answers, fold.train))
    if answers is not None and not by_step:
        fold = replace(fold, train=tuple(replace(e, answer=i) for i, e in enumerate(fold.train)))
    taught = any(TERMS[name].of_teacher for name in weights_of(recipe.losses, distillation))
    return StudentLearner(
        network,
        fold,
        recipe.fit,
        Drawing(_augment(recipe, corpus), _joining(recipe), mixed_seed(seed, STUDENT, 1)),
        recipe.validation.select,
        teacher=teacher if taught and by_step else None,
        distillation=distillation,
        lead=recipe.lead,
        answers=answers if taught and not by_step else None,
        losses=recipe.losses,
        foresight=_foresight(recipe, recogniser),
    )


def _foresight(recipe: Recipe, recogniser: CausalNetwork | None) -> Foresight | None:
    """What is learned from a recogniser; None: nothing."""
    wanted = recipe.recogniser
    if recogniser is None or wanted is None or not (wanted.answers > 0 or wanted.states > 0):
        return None
    return Foresight(recogniser, wanted, recipe.ahead, recipe.distillation.temperature)


def _clip_answers(
    recipe: Recipe, corpus: Corpus, fold: Fold, seed: int, teacher: Ensemble | None, network: CausalNetwork
) -> Tensor | None:
    """Log-probabilities (N, K) of whole training clips, where the recipe learns from them; else None."""
    distillation = recipe.distillation
    if distillation.target == "neighbours":
        if distillation.alpha > 0 or distillation.pseudo_labels:
            return neighbours_answers(network.extractor, fold.train, corpus.skeleton, len(corpus.labels))
        return None
    if teacher is None or (distillation.target != "clip" and not distillation.pseudo_labels):
        return None
    random = torch.Generator().manual_seed(mixed_seed(seed, STUDENT, 2))
    return averaged(teacher.eval(), fold.train, _augment(recipe, corpus), distillation.views, random)


def _begun(network: Network, begin: Network | None) -> Network:
    """A fresh network with the layers and the recurrence of another. The last layer, of other labels, stays fresh."""
    if isinstance(begin, Student | Teacher) and isinstance(network, Student | Teacher):
        network.layers.load_state_dict(begin.layers.state_dict())
        network.recurrence.load_state_dict(begin.recurrence.state_dict())
    return network


@dataclass(frozen=True, slots=True)
class Augmented:
    """The recipe's augmentation of clips on `skeleton`, None for clips of frames. It can be sent to other processes."""

    recipe: Recipe
    skeleton: Skeleton | None

    def __call__(self, clips: Sequence[Tensor], random: torch.Generator) -> Sequence[View]:
        if self.skeleton is not None:
            return self.recipe.augmentation(clips, self.skeleton, random)
        # Features of frames stay as they are.
        seen = [self.recipe.pixels(clip, random) if clip.dtype == torch.uint8 else clip for clip in clips]
        return [View(clip, torch.arange(len(clip))) for clip in seen]


def _augment(recipe: Recipe, corpus: Corpus) -> Augment:
    return Augmented(recipe, None if recipe.on_frames else corpus.skeleton)


def _joining(recipe: Recipe) -> Joining | Windows:
    """How training clips are drawn: clips of poses are joined, recordings of frames are cut into windows."""
    rate_hz = recipe.rate_hz
    if recipe.on_frames:
        return Windows(recipe.windows.steps(rate_hz), recipe.windows.speed)
    streaming = recipe.streaming
    longest, passage = max(1, round(streaming.longest_s * rate_hz)), round(streaming.passage_s * rate_hz)
    return Joining(streaming.chance, longest, passage)
