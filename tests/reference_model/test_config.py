from __future__ import annotations

from typing import Any

import pytest

from reference_model.config import VARIANTS, ConfigError, config_from_dict, get_config
from tests.reference_model.small import small_config


def test_every_row_of_the_paper_has_a_variant() -> None:
    rows = {
        "mobileinst_mobilenetv2_640": ("mobilenetv2", 640, 864, 80),
        "mobileinst_topformer_base_512": ("topformer_base", 512, 864, 80),
        "mobileinst_topformer_base_640": ("topformer_base", 640, 864, 80),
        "mobileinst_seaformer_base_640": ("seaformer_base", 640, 864, 80),
        "mobileinst_topformer_base_360": ("topformer_base", 360, 640, 40),
    }
    for name, expected in rows.items():
        config = get_config(name)
        assert (config.backbone, config.short_side_px, config.long_side_px, config.num_classes) == expected
        assert (config.num_queries, config.hidden_dim, config.kernel_dim) == (100, 256, 128)


def test_variants_are_the_paper_s_model_with_the_paper_s_loss_weights() -> None:
    for name, config in VARIANTS.items():
        assert config.name == name
        assert config.decoder == "global_local"
        assert config.local_pooling == "max"
        assert (config.loss_weight_class, config.loss_weight_dice, config.loss_weight_objectness) == (2, 2, 1)
        assert config.loss_weight_mask_bce == (5 if name == "mobileinst_topformer_tiny_shapes" else 2)


def test_unknown_variants_and_keys_are_named() -> None:
    for call, wrong in (
        (lambda: get_config("mobilinst"), "mobilinst"),
        (lambda: config_from_dict({"name": "x", "widht": 3}), "widht"),
        (lambda: config_from_dict({"backbone": "mobilenetv2"}), "name"),
    ):
        with pytest.raises(ConfigError, match=wrong):
            call()


@pytest.mark.parametrize(
    "values",
    [
        *({"backbone": value} for value in ("resnet50", None)),
        {"decoder": "global"},
        *({"decoder_stride": value} for value in (16, True)),
        *({"num_queries": value} for value in (0, 2.5)),
        {"num_heads": 5},
        {"class_prior": 1.0},
        *({"loss_weight_dice": value} for value in (-1.0, float("nan"))),
        {"name": ""},
        {"deep_supervision": True, "decoder": "single_local"},
        {"pyramid": "injected", "backbone": "seaformer_tiny"},
    ],
    ids=str,
)
def test_bad_values_name_the_field_in_one_line(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))) as error:
        small_config(**values)
    assert "\n" not in str(error.value)
