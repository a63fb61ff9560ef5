"""Says plainly which build of torch pip fetched."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # torch misses numpy, which is installed after it
    from torch import version

if version.cuda or getattr(version, 'hip', None):
    print(f'pip fetched torch {version.__version__}, a build for graphics cards (several GB). It works without one.')
    print('The CPU build is small: make clean, then')
    print("make audit TORCH='torch==2.13.0 --index-url URL', with the URL of PyTorch's wheels for CPUs.")
else:
    print(f'torch {version.__version__}, a build for CPUs')
