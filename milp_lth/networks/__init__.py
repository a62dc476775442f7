"""Any torch module, made ready to be replaced layer by layer."""
