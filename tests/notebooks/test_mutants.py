"""Every definition that a chapter teaches, perturbed: an agreement cell has to notice."""

from __future__ import annotations

import os

import pytest

from tools import common, mutate

# Chapter -> (definition, was, became) -> why the mutant gives the same values.
EQUIVALENT: dict[str, dict[tuple[str, str, str], str]] = {
    "1_baselines/svm_forest_bayes": {
        ("mmlearn.baselines.LinearSVM", "violated * y", "violated / y"): "y is -1 or 1",
        # A pure node that is cut again gives leaves with the shares it had.
        ("mmlearn.baselines.DecisionTree", "0", "1"): "no node counts as pure",
        ("mmlearn.baselines.DecisionTree", "1", "2"): "no node counts as pure",
    },
    "1_baselines/evaluation": {
        **{
            (f"mmlearn.metrics.{name}", "True", "False"): "lengths are checked before"
            for name in ("mean_average_precision", "cer", "bleu", "rouge_n", "rouge_l")
        },
        **{
            (
                f"mmlearn.metrics.{name}",
                "zip(references, hypotheses, strict=True)",
                "zip(hypotheses, references, strict=True)",
            ): "F1 of what is shared is symmetric"
            for name in ("rouge_n", "rouge_l")
        },
        (
            "mmlearn.metrics.mean_average_precision",
            "np.linspace(0, 1, 101)",
            "np.linspace(1, 0, 101)",
        ): "a mean has no order",
        (
            "mmlearn.metrics.cer",
            "edit_distance(r, h)",
            "edit_distance(h, r)",
        ): "a distance is symmetric",
        (
            "mmlearn.metrics.rouge_l",
            "edit_distance(a, b, swap=2)",
            "edit_distance(b, a, swap=2)",
        ): "a distance is symmetric",
        ("mmlearn.metrics.rouge_l", "2", "4"): "from a price of 2 nothing is replaced",
        ("mmlearn.metrics.rouge_n", "1", "2"): "with one run in all none is shared",
        ("mmlearn.metrics.precision_recall_f1", "1", "2"): "who is once in all is no hit",
        ("mmlearn.metrics.bleu", "return 0.0", "return -0.0"): "zero has no sign here",
    },
    "6_generalisation/augmentation": {
        ("mmlearn.regularise.shift", "0", "1"): "what is padded beyond the picture is cut off",
    },
    "7_trust/explaining_networks": {
        ("mmlearn.explain.IntegratedGradients", "True", "False"): "both have as many parts",
        ("mmlearn.explain.hide_modalities", "True", "False"): "a mask has one entry a modality",
    },
    "3_encoders/transformer": {
        (
            "mmlearn.encoders.MultiHeadAttention",
            "x.unflatten(2, (self.heads, -1)).transpose(1, 2)",
            "x.unflatten(2, (self.heads, -1)).transpose(2, 1)",
        ): "two axes change places, whichever is named first",
        (
            "mmlearn.encoders.MultiHeadAttention",
            "values.transpose(1, 2)",
            "values.transpose(2, 1)",
        ): "two axes change places, whichever is named first",
        ("mmlearn.encoders.TransformerEncoder", "0", "1"): "any number will do in the padding",
    },
    "3_encoders/word_vectors": {
        ("mmlearn.encoders.cooccurrence", "1", "2"): "any number below 0 holds a place",
    },
    "3_encoders/speech_and_ctc": {
        ("mmlearn.speech.NEVER", "1e+30", "2e+30"): "as good as never, too",
        ("mmlearn.speech.ctc_loss", "0", "1"): "a column at the end that is never looked at",
        (
            "mmlearn.speech.ctc_occupancy",
            "beta.flip(0, 2)",
            "beta.flip(2, 0)",
        ): "both axes are turned, in any order",
        ("mmlearn.speech.greedy_decode", "True", "False"): "lengths are checked before",
    },
    "4_fusion/language_models_that_see": {
        ("mmlearn.encoders.Resampler", "0", "1"): "any number will do in the padding",
    },
    "4_fusion/shared_space": {
        ("mmlearn.objectives.cca", "False", "True"): "what is added is cut off again",
        ("mmlearn.objectives.scores", "1e-08", "2e-08"): "no vector is that short",
        **{
            (f"mmlearn.objectives.{name}", f"{call}(a, b, {rest})", f"{call}(b, a, {rest})"): (
                "both directions count alike"
            )
            for name, call, rest in (
                ("clip_loss", "scores", "scale"),
                ("siglip_loss", "scores", "scale"),
                ("CLIPLoss", "clip_loss", "self.log_scale.exp(), label"),
            )
        },
    },
    "3_encoders/recurrence_and_attention": {
        ("mmlearn.encoders.unroll", "True", "False"): "as many parts come out as go in",
        ("mmlearn.encoders.Recurrent", "True", "False"): "on a CPU torch sorts stably anyway",
        # Padding stands behind what is read, and has no weight: it only must not be NaN.
        ("mmlearn.encoders.Recurrent", "0", "1"): "no state sees what padding holds",
        ("mmlearn.encoders.AdditiveAttention", "0", "1"): "what padding holds has no weight",
    },
    "4_fusion/crossmodal_attention": {
        ("mmlearn.fusion.CrossmodalAttention", "True", "False"): "there are as many of each",
    },
    "4_fusion/case_diagnosis": {
        ("mmlearn.fusion.TransformerFusion", "True", "False"): "as many layers as modalities",
    },
    "4_fusion/missing_and_noisy": {
        ("mmlearn.fusion.ProductOfExperts", "True", "False"): "one expert for each vector",
        ("mmlearn.fusion.ModalityDropout", "True", "False"): "one row for each modality",
        ("mmlearn.fusion.ModalityDropout", "1", "2"): "below every draw is below every draw",
    },
    "4_fusion/gates_and_tensors": {
        (f"mmlearn.fusion.{name}", "True", "False"): "as many layers as modalities or pairs"
        for name in ("MultiplicativeInteraction", "FiLM", "GatedMultimodalUnit", "LowRankFusion")
    },
    "7_trust/explaining_any_model": {
        ("mmlearn.explain.coalitions", "1", "2"): "shares are put in proportion to their sum",
        (
            "mmlearn.explain.coalitions",
            "rng.random((len(size), m)).argsort(axis=1) < size[:, None]",
            "rng.random((len(size), m)).argsort(axis=1) >= size[:, None]",
        ): "the opposite comes along anyway",
        ("mmlearn.explain.hide_columns", "1", "2"): "any length below 0 is the one left over",
    },
    "7_trust/auditing": {
        ("mmlearn.audit.group_gaps", "1e-12", "2e-12"): "a hair, below all that scores differ by",
        ("mmlearn.audit.conformal_threshold", "1e-09", "2e-09"): "a hair, below one rank",
    },
    "4_fusion/early_and_late": {
        ("mmlearn.fusion.Sum", "True", "False"): "there are as many layers as modalities",
        ("mmlearn.fusion.LateFusion", "True", "False"): "there are as many heads as modalities",
    },
}


@pytest.mark.parametrize("chapter", common.chapters(os.environ.get("CHAPTERS", "")))
def test_agreement_cells_notice_every_mutant(chapter: str) -> None:
    excuses = EQUIVALENT.get(chapter, {})
    assert mutate.unexcused(mutate.survivors(chapter), excuses) == []
