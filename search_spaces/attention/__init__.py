"""The one shared attention core: its definition, the backends that compute it, and the layers made of it.

Numba is imported only in the files of its backend (`kernels`, `kernels_backward`, `simd`), Triton only in those of its
own (`triton_attention`, `triton_kernels`, `triton_kernels_backward`, `triton_stem`, `triton_stem_kernels`,
`triton_start`), loaded when that backend is used.
"""
