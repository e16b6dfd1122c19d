"""The one shared attention core: its definition, the backends that compute it, and the layers made of it.

Imports torch, and `search_spaces.architecture` and `errors`; Numba only in the files of its backend (`kernels`,
`kernels_backward`, `simd`), Triton only in those of its own (`triton_attention`, `triton_kernels`), loaded when
that backend is used.
"""
