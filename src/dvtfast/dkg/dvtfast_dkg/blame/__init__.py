"""Who has cheated: evidence, a judge of it that everybody can repeat, and how a ceremony ends by it."""
