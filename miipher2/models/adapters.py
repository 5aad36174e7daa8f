"""Parallel adapters, the trained part of the feature cleaner.

Authors
 * The miipher2 authors 2026
"""

from torch import nn


class ParallelAdapter(nn.Module):
    """A trainable bottleneck in parallel with a frozen module.

    The output is ``module(x) + scale * up(activation(down(x)))``. In Miipher-2
    (section 2), the module is the feed-forward block of a transformer layer;
    the parallel placement is from He et al., arXiv 2110.04366. The
    up-projection is initialised with zeros, so training starts from the output
    of the frozen module.

    Arguments
    ---------
    target_module : torch.nn.Module
        The frozen module. Its output is a tensor with the shape of its first
        argument, or a tuple whose first item is such a tensor.
    width : int
        Size of the last dimension of the module's input.
    bottleneck : int
        Size of the hidden layer between the two projections.
    activation : class
        The nonlinearity between the projections.
    scale : float
        Factor that multiplies the output of the up-projection.

    Attributes
    ----------
    enabled : bool
        Whether the adapter is active. If False, only the frozen module runs.

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
            Input of the module ``(..., width)``.
        *args : tuple
            Further positional arguments of the module.
        **kwargs : dict
            Further keyword arguments of the module.

        Returns
        -------
        torch.Tensor or tuple
            Output of the module. The adapter's output is added to the tensor,
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
