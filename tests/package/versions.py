"""What the oldest versions that the book runs with cannot do in a test."""

import pytest
import torch

TORCH = tuple(map(int, torch.__version__.split(".")[:2]))

fake_gpu = pytest.mark.skipif(
    TORCH < (2, 11) and torch.version.cuda is not None and not torch.cuda.is_available(),
    reason="with CUDA and without a GPU, torch 2.9 asks for a driver even for fake tensors",
)
traced = pytest.mark.skipif(TORCH < (2, 14), reason="torch 2.11 cannot trace our guards")
