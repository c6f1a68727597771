"""Read a portfolio's positions and analytics, each number with its convention.

Usage: python examples/portfolio_analytics.py
Reads AGIO_URL, AGIO_API_KEY and AGIO_CA_FILE, as `./agio up` prints them.
"""

from agio_sdk import SyncAgio


def main() -> None:
    with SyncAgio() as agio:
        portfolio = agio.portfolios()[0]
        print(f"{portfolio.name} ({portfolio.portfolio_id}), in {portfolio.base_currency}")

        for position in agio.positions(portfolio.portfolio_id):
            print(f"  {position.symbol:10} {position.quantity:>14}  worth {position.market_value}")

        analytics = agio.portfolio_analytics(portfolio.portfolio_id)
        basis = analytics["basis"]
        print(f"basis: {basis['observations']} observations, ledger sequence {basis['ledger_seq']}")
        for block in ("returns", "risk", "exposure"):
            print(block)
            for name, metric in analytics[block].items():
                if not isinstance(metric, dict) or "convention" not in metric:
                    continue
                value = metric["value"] if metric["value"] is not None else f"- ({metric['null_reason']})"
                print(f"  {name:28} {value!s:>24}  {metric['convention']}")


if __name__ == "__main__":
    main()
