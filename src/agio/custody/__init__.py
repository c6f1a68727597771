"""Customer accounts and transfers in and out of them."""
