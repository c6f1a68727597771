"""Pure values that every room speaks: amounts, identifiers, times, pages, problems."""
