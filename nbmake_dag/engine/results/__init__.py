"""What a success leads to: a record, outputs in place, copies of notebooks."""
