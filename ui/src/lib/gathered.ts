/**
 * Calls a function once for a burst of calls, and not again while it runs: a busy flow must not make the page load its
 * list for each message. A call that comes meanwhile is made up for, `pause` milliseconds after the last one has ended.
 */
export function gathered(action: () => unknown, pause = 400): { call: () => void; cancel: () => void } {
  let timer: ReturnType<typeof setTimeout> | null = null;
  let isRunning = false;
  let isWanted = false;
  let isCancelled = false;
  const call = (): void => {
    if (isCancelled) return;
    if (isRunning) {
      isWanted = true;
      return;
    }
    timer ??= setTimeout(async () => {
      timer = null;
      isRunning = true;
      try {
        await action();
      } finally {
        isRunning = false;
        if (isWanted) {
          isWanted = false;
          call();
        }
      }
    }, pause);
  };
  const cancel = (): void => {
    isCancelled = true;
    if (timer !== null) clearTimeout(timer);
  };
  return { call, cancel };
}
