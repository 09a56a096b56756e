/** What a caller is told whose key allows no more at once. */
export const overQuota = (maxUndecidedJobs: number): string =>
  `${maxUndecidedJobs} predictions of this API key are undecided, which is as many as it may have: try again later`;
