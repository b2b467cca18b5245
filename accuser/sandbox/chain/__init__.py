"""The chain, pure: blocks, branches, heads by fitness, mempool, evidence, rights."""
