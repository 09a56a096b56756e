/** One writing connection to the database: one statement at a time, and whatever waits when it is free goes together. */

export function createLane<Call, Reply>(send: (calls: Call[]) => Promise<Reply[]>): (call: Call) => Promise<Reply> {
  interface Waiting {
    readonly call: Call;
    readonly resolve: (reply: Reply) => void;
    readonly reject: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let isOut = false;

  function next(): void {
    if (isOut || waiting.length === 0) return;
    isOut = true;
    const batch = waiting;
    waiting = [];
    send(batch.map(({ call }) => call)).then(
      (replies) => {
        isOut = false;
        batch.forEach(({ resolve }, index) => resolve(replies[index]!));
        next();
      },
      (error: unknown) => {
        isOut = false;
        for (const { reject } of batch) reject(error);
        next();
      },
    );
  }

  return (call) =>
    new Promise((resolve, reject) => {
      waiting.push({ call, resolve, reject });
      next();
    });
}
