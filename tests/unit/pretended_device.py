"""A second device without hardware: CPU tensors in a wrapper that names another device.

What CUDA refuses is refused: operations on tensors of both devices, generators of the CPU for
tensors of the device, NumPy's view of them. Operations work inside of :class:`Pretended` alone.

The backend is registered by a private interface of torch and cannot be taken back: import this
module in a process of its own. ``ImportError`` where torch lacks the interface.
"""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretended"
_setup_privateuseone_for_python_backend(NAME)
# the threads that the backward pass of other devices gets would not be inside of the mode
torch.autograd.set_multithreading_enabled(False)

DEVICE = torch.device(NAME, 0)
_aten = torch.ops.aten
_BETWEEN_DEVICES = {_aten.copy_.default, _aten._to_copy.default}
# a tensor of the device may be indexed by one of the CPU, not the other way round
_INDEXING = {
    _aten.index.Tensor,
    _aten.index_put_.default,
    _aten.index_put.default,
    _aten._index_put_impl_.default,
    _aten._unsafe_index.Tensor,
}
_JOINING = {_aten.cat.default, _aten.stack.default}
_FROM_NUMBERS = {torch.tensor, torch.as_tensor}


class Held(torch.Tensor):
    """A tensor of the pretended device; ``held`` are its values, on the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held):
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=DEVICE,
        )
        tensor.held = held.detach()
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _call(func, args, kwargs or {})

    def __repr__(self):
        return f"Held({self.held!r})"

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            copied = Held(self.held.clone()).requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):  # what torch knows parameters of wrappers by
                copied._is_param = True
            memo[id(self)] = copied
        return memo[id(self)]

    @property
    def data(self):
        return Held(self.held)

    @data.setter
    def data(self, other):
        if not isinstance(other, Held):
            raise RuntimeError(f"data of a tensor on {DEVICE} set to one on {other.device}")
        torch.Tensor.data.__set__(self, other)
        self.held = other.held

    def new_tensor(self, numbers):
        return Held(torch.tensor(numbers, dtype=self.dtype))

    def tolist(self):
        return self.held.tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError(f"cannot convert a tensor on {DEVICE} to numpy")

    __array__ = numpy


class Pretended(TorchDispatchMode):
    """Inside, tensors can be made on and brought to the pretended device."""

    def __enter__(self):
        self._from_numbers = _FromNumbers()
        self._from_numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._from_numbers.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        wanted = kwargs.get("device")
        ours = any(isinstance(leaf, Held) for leaf in pytree.tree_leaves((args, kwargs)))
        if ours or (wanted is not None and torch.device(wanted).type == NAME):
            return _call(func, args, kwargs)
        return func(*args, **kwargs)


class _FromNumbers(TorchFunctionMode):
    """``torch.tensor`` of numbers asks the backend itself, past all other modes."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        wanted = kwargs.get("device")
        if func in _FROM_NUMBERS and wanted is not None and torch.device(wanted).type == NAME:
            return func(*args, **kwargs | {"device": "cpu"}).to(DEVICE)
        return func(*args, **kwargs)


def _call(func, args, kwargs):
    """An operation that has to do with the device: refused, or done on the held tensors."""
    tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if torch.is_tensor(leaf)]
    held = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, Held)}
    wanted = kwargs.get("device")
    on_device = bool(held) if wanted is None else torch.device(wanted).type == NAME
    if held and func not in _BETWEEN_DEVICES:
        _refuse_mixing(func, args, tensors)
    if on_device:
        if kwargs.get("generator") is not None:
            raise RuntimeError(f"{func}: expected a generator on {DEVICE}, got one on the CPU")
        if wanted is not None:
            kwargs = kwargs | {"device": torch.device("cpu")}
    inner_args, inner_kwargs = pytree.tree_map_only(Held, lambda t: t.held, (args, kwargs))
    with torch.no_grad():
        result = func(*inner_args, **inner_kwargs)
    if func is _aten.copy_.default:
        return args[0]
    if not on_device:
        return result

    def wrapped(tensor):  # what an operation changed in place is the tensor that it was given
        return held[id(tensor)] if id(tensor) in held else Held(tensor)

    return pytree.tree_map_only(torch.Tensor, wrapped, result)


def _refuse_mixing(func, args, tensors):
    """``RuntimeError`` where CUDA has one; single numbers of the CPU may take part."""
    others = [t for t in tensors if not isinstance(t, Held) and (t.ndim or func in _JOINING)]
    if func in _INDEXING and isinstance(args[0], Held):
        others = [t for t in others if t.dtype not in (torch.int64, torch.bool)]
    elif func in _INDEXING:
        others = [args[0]]
    if others:
        found = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in others)
        raise RuntimeError(f"{func}: expected all tensors on {DEVICE}, but on the CPU are {found}")
