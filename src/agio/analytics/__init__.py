"""Portfolios over accounts: valuation, performance and risk, each number with its inputs and convention."""
