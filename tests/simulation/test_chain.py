"""The simulated chain: what it forgets changes no duties."""

from __future__ import annotations

from random import Random

from tests.simulation.chain import KEPT_EPOCHS, SLOTS_PER_EPOCH, Block, Chain


def test_epochs_without_a_block_change_no_duties_afterwards() -> None:
    """As several deep reorganisations in a row leave: the block of before stays what duties depend on."""
    chain = Chain(Random(0), 2, lambda _, call, *args: call(*args), views=1)
    before = Block(5, b"before".ljust(32), chain.genesis.root)
    first = (KEPT_EPOCHS - 1) * SLOTS_PER_EPOCH
    after = Block(first, b"after".ljust(32), before.root)
    chain.add(before)
    chain.add(after)
    epoch = KEPT_EPOCHS - 1  # whose duties depend on the last block before it
    for slot in range(first, (KEPT_EPOCHS + 1) * SLOTS_PER_EPOCH + 1, SLOTS_PER_EPOCH):
        chain._forget(slot)
        assert chain.truth.seed(epoch) == chain.views[0].seed(epoch) == before.root
    assert before.root in chain.views[0].known
