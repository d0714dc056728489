"""The human's side: the mailcascade command and the development stack."""
