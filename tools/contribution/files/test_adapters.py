"""Tests of adapters.

Authors
 * The miipher2 authors 2026
"""

import pytest
import torch


class Layer(torch.nn.Module):
    """A layer with a feed-forward block, as in a transformer."""

    def __init__(self, width):
        super().__init__()
        self.feed_forward = torch.nn.Sequential(
            torch.nn.Linear(width, 2 * width),
            torch.nn.GELU(),
            torch.nn.Linear(2 * width, width),
        )

    def forward(self, x):
        """Apply the block with a residual connection."""
        return x + self.feed_forward(x)


@pytest.fixture
def model(device):
    """Return a model of two layers."""
    return torch.nn.Sequential(Layer(8), Layer(8)).to(device)


def adapt(model):
    """Add an adapter parallel to every feed-forward block."""
    from speechbrain.nnet.adapters import AdaptedModel, ParallelAdapter

    return AdaptedModel(
        model,
        ParallelAdapter,
        target_layers=["*.feed_forward"],
        adapter_kwargs={"width": 8, "bottleneck": 2},
    )


def test_parallel_adapter_initially_keeps_the_output_of_the_model(
    model, device
):
    x = torch.randn(2, 5, 8, device=device)
    expected = model(x)
    assert torch.equal(adapt(model)(x), expected)


def test_only_the_parallel_adapters_are_trained(model, device):
    x = torch.randn(2, 5, 8, device=device)
    expected = model(x)
    adapted = adapt(model)
    trained = {n: p for n, p in adapted.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 4
    assert all("adapter_" in name for name in trained)
    optimizer = torch.optim.SGD(trained.values(), lr=1.0)
    (adapted(x) - x).square().mean().backward()
    optimizer.step()
    assert not torch.allclose(adapted(x), expected)
    # Disabling the adapters restores the output of the frozen model
    for layer in adapted.adapted_model:
        layer.feed_forward.enabled = False
    assert torch.equal(adapted(x), expected)


def test_parallel_adapter_adds_a_bottleneck_to_the_module(device):
    from speechbrain.nnet.adapters import ParallelAdapter

    frozen = torch.nn.Linear(4, 4, device=device)
    adapter = ParallelAdapter(frozen, width=4, bottleneck=3, scale=0.5)
    torch.nn.init.normal_(adapter.adapter_up_proj.weight)
    x = torch.randn(7, 4, device=device)
    hidden = torch.relu(adapter.adapter_down_proj(x))
    expected = frozen(x) + 0.5 * adapter.adapter_up_proj(hidden)
    assert torch.allclose(adapter(x), expected)


def test_parallel_adapter_changes_only_the_first_of_several_outputs(device):
    from speechbrain.nnet.adapters import ParallelAdapter

    class Attention(torch.nn.Module):
        """A module that returns two outputs."""

        def forward(self, x, mask=None):
            """Return the input and the mask."""
            return x, mask

    adapter = ParallelAdapter(Attention(), width=4, bottleneck=2).to(device)
    torch.nn.init.ones_(adapter.adapter_up_proj.bias)
    x = torch.zeros(3, 4, device=device)
    output, mask = adapter(x, mask="mask")
    assert mask == "mask"
    assert torch.equal(output, torch.ones_like(x))


def test_parallel_adapter_is_saved_and_loaded(model, device, tmpdir):
    from speechbrain.utils.checkpoints import Checkpointer

    adapted = adapt(model)
    checkpointer = Checkpointer(tmpdir, {"model": adapted})
    up = adapted.adapted_model[0].feed_forward.adapter_up_proj
    torch.nn.init.ones_(up.weight)
    checkpointer.save_checkpoint()
    torch.nn.init.zeros_(up.weight)
    checkpointer.recover_if_possible()
    assert torch.equal(up.weight, torch.ones_like(up.weight))
