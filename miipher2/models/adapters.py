"""Parallel adapters, the trained part of the feature cleaner.

Authors
 * The miipher2 authors 2026
"""

from torch import nn


class ParallelAdapter(nn.Module):
    """A bottleneck parallel to a frozen module.

    ``y = module(x) + scale * up(activation(down(x)))``, parallel to the
    feed-forward block of a transformer layer (Miipher-2, section 2; He et al.,
    arXiv 2110.04366). The up-projection is initialised with zeros, so training
    starts from the frozen model.

    Arguments
    ---------
    target_module : torch.nn.Module
        The frozen module. Its output is a tensor with the shape of its first
        argument, or a tuple whose first item is such a tensor.
    width : int
        Size of the last dimension of ``x``.
    bottleneck : int
        Number of features between the two projections.
    activation : class
        The nonlinearity between the projections.
    scale : float
        Factor of the adapter's output.

    Attributes
    ----------
    enabled : bool
        Whether the adapter is used. If False, only the frozen module runs.

    Example
    -------
    >>> import torch
    >>> frozen = nn.Linear(8, 8)
    >>> adapter = ParallelAdapter(frozen, width=8, bottleneck=2)
    >>> x = torch.rand(4, 10, 8)
    >>> bool((adapter(x) == frozen(x)).all())
    True
    """

    def __init__(
        self,
        target_module,
        width,
        bottleneck=1024,
        activation=nn.ReLU,
        scale=1.0,
    ):
        super().__init__()
        device = next((p.device for p in target_module.parameters()), None)
        self.pretrained_module = target_module
        self.adapter_down_proj = nn.Linear(width, bottleneck, device=device)
        self.activation = activation()
        self.adapter_up_proj = nn.Linear(bottleneck, width, device=device)
        self.scale = scale
        self.enabled = True
        nn.init.zeros_(self.adapter_up_proj.weight)
        nn.init.zeros_(self.adapter_up_proj.bias)

    def forward(self, x, *args, **kwargs):
        """Run the module and, if ``enabled``, the adapter.

        Arguments
        ---------
        x : torch.Tensor
            ``(..., width)``.
        *args : tuple
            Further arguments of the module.
        **kwargs : dict
            Further keyword arguments of the module.

        Returns
        -------
        torch.Tensor or tuple
            The module's output, with the adapter's output added to the tensor
            or to the first item of the tuple.
        """
        output = self.pretrained_module(x, *args, **kwargs)
        if not self.enabled:
            return output
        change = self.scale * self.adapter_up_proj(
            self.activation(self.adapter_down_proj(x))
        )
        if isinstance(output, tuple):
            return (output[0] + change, *output[1:])
        return output + change
