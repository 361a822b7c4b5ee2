// A failure that the user can mend: shown as its text alone, without a stack.

exports.failure = function failure(message) {
  return Object.assign(new Error(message), { expected: true });
};
