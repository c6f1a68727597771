/** A price picked somewhere, such as in the book, for the order ticket to take up. */

export interface PriceDraft {
  readonly price: string;
  /** Distinguishes two picks of the same price. */
  readonly pick: number;
}
