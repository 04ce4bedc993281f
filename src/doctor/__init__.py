"""Is this machine fit: checks that need neither MindSpore nor a device, as far as each goes."""
