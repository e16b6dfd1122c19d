"""The one shared attention core: its definition, the backends that compute it, and the layers made of it.

Imports torch, and `search_spaces.architecture` and `errors`; Numba only in the compiled backend's files (`kernels`,
`kernels_backward`, `simd`), which are loaded when that backend is used.
"""
