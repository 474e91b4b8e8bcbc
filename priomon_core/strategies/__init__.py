"""How knowledge travels: one strategy per file, all behind the interface of `base.Strategy`."""
